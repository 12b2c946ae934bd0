-- What became of each problem, over all of its lives? One row per fingerprint.
WITH followed AS (
    SELECT
        fingerprint,
        arg_max(
            struct_pack(
                target_plugin, category, severity, description, file_path, rule, opened_at, opened_run_id,
                last_seen_at, last_run_id, fixed_at, fixed_run_id, checked
            ),
            row(opened_at, opened_stored_at, opened_run_id)
        ) AS life,
        min(opened_at) AS first_seen,
        arg_min(opened_run_id, row(opened_at, opened_stored_at, opened_run_id)) AS first_run_id,
        sum(runs_seen)::INTEGER AS runs_seen,
        (count(*) - 1)::INTEGER AS reopened
    FROM problem_lives
    GROUP BY fingerprint
),
placed AS (
    SELECT
        fingerprint, first_seen, first_run_id, runs_seen, reopened,
        unnest(life),
        CASE
            WHEN life.fixed_at IS NOT NULL THEN 'fixed'
            WHEN NOT life.checked THEN 'not_checked'
            WHEN reopened > 0 THEN 'reopened'
            WHEN life.opened_run_id = life.last_run_id THEN 'new'
            ELSE 'open'
        END AS status
    FROM followed
),
judged AS (
    SELECT
        placed.*,
        coalesce(decided.decision, 'none') AS triage,
        decided.until AS triage_until,
        decided.actor AS triage_by,
        decided.reason AS triage_reason,
        CASE
            WHEN status <> 'fixed' AND decided.decision IS NULL
            THEN opened_at + to_days({sla_days})
        END AS sla_due
    FROM placed
    LEFT JOIN (
        FROM triage_decisions WHERE until IS NULL OR {now} < (until + 1)::TIMESTAMPTZ
    ) AS decided USING (fingerprint)
)
SELECT
    fingerprint, target_plugin, category, severity, description, file_path, rule, status,
    first_seen, first_run_id, last_seen_at AS last_seen, last_run_id, runs_seen,
    opened_at, opened_run_id, reopened, fixed_at, fixed_run_id,
    CASE WHEN fixed_at IS NULL THEN epoch({now} - opened_at) / 86400 END AS age_days,
    epoch(fixed_at - opened_at) / 86400 AS days_to_fix,
    triage, triage_until, triage_by, triage_reason,
    sla_due,
    epoch(sla_due - {now}) / 86400 AS sla_days_left
FROM judged
