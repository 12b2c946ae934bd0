-- A day’s issues in the order of its file: the worst of each plugin first.
SELECT {columns}
FROM issues
ORDER BY target_plugin, severity, "timestamp", validation_run_id, issue_index
