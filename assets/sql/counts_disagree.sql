-- Which runs count other issues than the table of issues holds? Issues without a run are such, too.
-- Parameter: the days.
WITH counted AS (
    SELECT
        run_date,
        validation_run_id,
        [critical_issues, high_issues, medium_issues, low_issues]::BIGINT[] AS issues
    FROM runs
    WHERE run_date IN (SELECT unnest($1::DATE[]))
),
found AS (
    SELECT
        run_date,
        validation_run_id,
        [
            count(*) FILTER (severity = 'critical'),
            count(*) FILTER (severity = 'high'),
            count(*) FILTER (severity = 'medium'),
            count(*) FILTER (severity = 'low')
        ] AS issues
    FROM issues
    WHERE run_date IN (SELECT unnest($1::DATE[]))
    GROUP BY run_date, validation_run_id
)
SELECT
    run_date,
    validation_run_id,
    counted.issues AS counted,
    coalesce(found.issues, [0, 0, 0, 0]) AS found
FROM counted
FULL JOIN found USING (run_date, validation_run_id)
WHERE counted.issues IS DISTINCT FROM coalesce(found.issues, [0, 0, 0, 0])
ORDER BY run_date, validation_run_id
