-- Runs as another storage takes copies of them: all but what storing adds, and with the moment of storing,
-- which is not before that at which the run was entered into the ledger.
SELECT runs.* EXCLUDE (batch_id, run_date) REPLACE (greatest(stored_at, owed.entered_at) AS stored_at)
FROM runs
JOIN (
    SELECT unnest($1) AS validation_run_id, unnest($2::TIMESTAMPTZ[]) AS entered_at
) AS owed ON owed.validation_run_id = runs.validation_run_id
ORDER BY runs.validation_run_id
