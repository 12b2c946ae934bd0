-- The problems that are not fixed, looked up once for all that a report says about them.
SELECT
    fingerprint, target_plugin, category, severity, description, file_path, rule, status, first_seen, last_seen,
    runs_seen, opened_at, reopened, age_days, triage, triage_until, triage_reason, sla_days_left
FROM problems
WHERE status <> 'fixed' AND ($plugin IS NULL OR target_plugin = $plugin)
