-- How many runs came in on each of the days, whatever they are about? Parameter: the days.
SELECT stored_at::DATE AS day, count(*) AS received
FROM all_runs
WHERE stored_at::DATE IN (SELECT unnest($1::DATE[]))
GROUP BY 1
