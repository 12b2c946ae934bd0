-- Which of the runs are there, or were until they were retired? Parameter: their ids.
SELECT validation_run_id FROM all_runs WHERE validation_run_id IN (SELECT unnest($1))
