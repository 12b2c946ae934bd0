-- The runs that a deletion is about, and how many issues each has.
SELECT
    validation_run_id,
    critical_issues + high_issues + medium_issues + low_issues AS issues
FROM runs
WHERE {where}
