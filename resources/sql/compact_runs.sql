-- A day's runs in the order of its file.
SELECT {columns}
FROM runs
ORDER BY target_plugin, "timestamp", validation_run_id
