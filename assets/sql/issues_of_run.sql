-- Every issue of one run, in its own order. The plugin is named so that its row groups suffice.
SELECT {columns}
FROM issues
WHERE target_plugin = ? AND validation_run_id = ?
ORDER BY issue_index
