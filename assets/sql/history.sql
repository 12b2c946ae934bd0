-- One row per run with what is new, fixed and unchanged against the plugin's run before it.
-- Fingerprints are distinct within a run, so what two runs share is one join, and what is new or
-- fixed is the rest. The run before the first selected one is read too, whatever the dates.
WITH followed AS (
    SELECT
        *,
        critical_issues + high_issues + medium_issues + low_issues AS total_issues,
        lag(validation_run_id) OVER plugin AS before_id,
        lag(critical_issues + high_issues + medium_issues + low_issues) OVER plugin AS before_total
    FROM runs
    WHERE {plugin}
    WINDOW plugin AS (PARTITION BY target_plugin ORDER BY "timestamp", stored_at, validation_run_id)
),
selected AS (
    SELECT *
    FROM followed
    WHERE {where}
    ORDER BY "timestamp" DESC, stored_at DESC, validation_run_id DESC
    LIMIT {limit} OFFSET {offset}
),
looked_at AS (
    SELECT validation_run_id FROM selected UNION SELECT before_id FROM selected
),
prints AS (
    SELECT validation_run_id, fingerprint FROM issues SEMI JOIN looked_at USING (validation_run_id)
),
shared AS (
    SELECT selected.validation_run_id, count(*) AS unchanged
    FROM selected
    JOIN prints AS here ON here.validation_run_id = selected.validation_run_id
    JOIN prints AS before
        ON before.validation_run_id = selected.before_id AND before.fingerprint = here.fingerprint
    GROUP BY ALL
)
SELECT
    selected.validation_run_id,
    "timestamp",
    target_plugin,
    pipeline_score,
    total_issues,
    critical_issues,
    high_issues,
    medium_issues,
    low_issues,
    total_issues - coalesce(unchanged, 0) AS new,
    coalesce(before_total, 0) - coalesce(unchanged, 0) AS fixed,
    coalesce(unchanged, 0) AS unchanged
FROM selected
LEFT JOIN shared ON shared.validation_run_id = selected.validation_run_id
ORDER BY "timestamp", stored_at, selected.validation_run_id
