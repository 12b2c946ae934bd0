-- The issues of the runs of copied_runs.sql, in its order; `run_index` is the row there.
WITH numbered AS (
    SELECT validation_run_id, (row_number() OVER (ORDER BY validation_run_id) - 1)::INTEGER AS run_index
    FROM runs
    WHERE validation_run_id IN (SELECT unnest($1))
)
SELECT
    numbered.run_index,
    issues.* EXCLUDE (validation_run_id, "timestamp", target_plugin, batch_id, run_date, severity),
    issues.severity::VARCHAR AS severity
FROM issues
JOIN numbered ON issues.validation_run_id = numbered.validation_run_id
ORDER BY run_index, issue_index
