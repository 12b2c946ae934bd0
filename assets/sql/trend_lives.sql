-- The lives of problems that began up to `$last`, looked up once for all statements over them.
SELECT
    fingerprint, target_plugin, category, severity, description, file_path, rule,
    opened_at, opened_stored_at, opened_run_id, fixed_at
FROM problem_lives
WHERE opened_at::DATE <= $last AND ($plugin IS NULL OR target_plugin = $plugin)
