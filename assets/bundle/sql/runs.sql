-- The runs of a bundle: those that plugin, dates and run id select, whatever is asked of their issues.
SELECT {columns}
FROM runs
WHERE {where}
ORDER BY "timestamp" DESC, validation_run_id
