-- How a storage has some runs: content, moment of storing, and count and hash of the issues.
SELECT
    runs.validation_run_id,
    any_value(runs.content_hash) AS content_hash,
    any_value(runs.stored_at) AS stored_at,
    concat_ws(
        ' ',
        count(issues.issue_index),
        sum(hash(issue_index, fingerprint, category, severity::VARCHAR, description, file_path, details))
    ) AS issues
FROM runs
LEFT JOIN issues ON issues.validation_run_id = runs.validation_run_id
WHERE runs.validation_run_id IN (SELECT unnest($1))
GROUP BY runs.validation_run_id
