-- Which runs do the days have, since when, and with how many issues?
-- Parameter: the days.
SELECT
    validation_run_id,
    stored_at,
    (critical_issues + high_issues + medium_issues + low_issues)::BIGINT AS issues
FROM runs
WHERE run_date IN (SELECT unnest($1::DATE[]))
