-- Runs as another storage takes copies of them: all but what storing adds, and with the moment of storing.
SELECT * EXCLUDE (batch_id, run_date) REPLACE (greatest(stored_at, $2::TIMESTAMPTZ) AS stored_at)
FROM runs
WHERE validation_run_id IN (SELECT unnest($1))
ORDER BY validation_run_id
