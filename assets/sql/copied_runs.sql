-- The runs of one chunk of `wanted`, in the order in which they are copied.
-- Parameters: the first and the last day, the chunk.
SELECT
    runs.validation_run_id, runs."timestamp", runs.target_plugin, runs.change_type, runs.pipeline_score,
    runs.metadata, runs.extra, runs.critical_issues, runs.high_issues, runs.medium_issues, runs.low_issues,
    runs.content_hash, runs.source, runs.stored_at
FROM runs
JOIN wanted ON runs.validation_run_id = wanted.validation_run_id
WHERE runs.run_date BETWEEN $1 AND $2 AND wanted.chunk = $3
ORDER BY wanted.place
