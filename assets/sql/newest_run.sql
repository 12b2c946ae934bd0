-- The newest run; of two at the same moment the one stored last.
SELECT {columns}
FROM runs
WHERE {where}
ORDER BY "timestamp" DESC, stored_at DESC, validation_run_id DESC
LIMIT 1
