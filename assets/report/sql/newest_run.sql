-- When was the newest run up to `$until`?
SELECT max("timestamp")
FROM runs
WHERE "timestamp" <= $until AND ($plugin IS NULL OR target_plugin = $plugin)
