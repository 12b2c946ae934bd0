-- The rows of some runs.
SELECT {columns} FROM {table} WHERE validation_run_id IN (SELECT unnest($1))
