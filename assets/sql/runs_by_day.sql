-- How many runs does each day have? Parameter: the days.
SELECT run_date, count(*) AS runs
FROM runs
WHERE run_date IN (SELECT unnest($1::DATE[]))
GROUP BY run_date
