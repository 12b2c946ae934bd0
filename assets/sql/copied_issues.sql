-- The issues of the runs in `wanted`, in the order in which they are copied.
-- Parameters: the first and the last day.
CREATE TEMP TABLE copied_issues AS
SELECT
    wanted.chunk,
    wanted.place AS run_index,
    issues.issue_index,
    issues.category,
    issues.severity::VARCHAR AS severity,
    issues.description,
    issues.file_path,
    issues.recommendation,
    issues.details,
    issues.fingerprint,
    issues.extra
FROM issues
JOIN wanted ON issues.validation_run_id = wanted.validation_run_id
WHERE issues.run_date BETWEEN $1 AND $2
ORDER BY wanted.chunk, wanted.place, issues.issue_index
