-- The runs that a deletion is about, retired ones too, and how many issues each has.
SELECT
    validation_run_id,
    critical_issues + high_issues + medium_issues + low_issues AS issues
FROM all_runs
WHERE {where}
