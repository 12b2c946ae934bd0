-- When some runs were stored.
SELECT validation_run_id, stored_at FROM runs WHERE validation_run_id IN (SELECT unnest($1))
