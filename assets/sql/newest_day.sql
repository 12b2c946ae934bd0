-- The day of the newest run that a query selects, or null.
SELECT max(run_date) FROM runs WHERE {where}
