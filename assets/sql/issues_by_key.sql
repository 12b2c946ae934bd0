-- The issues with these keys, in any order. Day and plugin are named so that their row groups suffice.
-- Parameters: days, plugins, run ids, and places in the runs, side by side.
SELECT {columns}
FROM issues
WHERE
    run_date IN (SELECT unnest($1::DATE[]))
    AND target_plugin IN (SELECT unnest($2::VARCHAR[]))
    AND validation_run_id IN (SELECT unnest($3::VARCHAR[]))
    AND (validation_run_id, issue_index) IN (SELECT (unnest($3::VARCHAR[]), unnest($4::INTEGER[])))
