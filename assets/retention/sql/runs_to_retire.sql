-- Which runs go, and by which rule? Those that are not among the `$max_history` newest (0: any number),
-- and those whose days are over: where both the plugin and the worst severity have days, the longer
-- ones hold. Never the newest run of a plugin, one that is kept for another reason, or one that was
-- stored after `$settled`.
-- Reads: runs, plugin_days (place, pattern, days), severity_days (worst, days), kept_runs.
WITH ranked AS (
    SELECT
        *,
        critical_issues + high_issues + medium_issues + low_issues AS issues,
        CASE
            WHEN critical_issues > 0 THEN 'critical'
            WHEN high_issues > 0 THEN 'high'
            WHEN medium_issues > 0 THEN 'medium'
            WHEN low_issues > 0 THEN 'low'
            ELSE 'clean'
        END AS worst,
        row_number() OVER (
            ORDER BY "timestamp" DESC, stored_at DESC, validation_run_id DESC
        ) AS place,
        row_number() OVER (
            PARTITION BY target_plugin ORDER BY "timestamp" DESC, stored_at DESC, validation_run_id DESC
        ) AS place_of_plugin
    FROM runs
),
plugins AS (
    SELECT target_plugin, arg_min(pattern, place) AS pattern, arg_min(days, place) AS days
    FROM (SELECT DISTINCT target_plugin FROM runs)
    JOIN plugin_days ON target_plugin GLOB pattern
    GROUP BY target_plugin
),
ruled AS (
    SELECT
        ranked.*,
        CASE
            WHEN $max_history > 0 AND place > $max_history THEN 'max_history = ' || $max_history
            WHEN "timestamp" >= $now - to_days(greatest(coalesce(plugins.days, 0), coalesce(severity_days.days, 0)))
            THEN NULL
            WHEN coalesce(severity_days.days, 0) > coalesce(plugins.days, 0)
            THEN 'keep_days.by_severity.' || worst || ' = ' || severity_days.days
            WHEN plugins.days IS NOT NULL
            THEN 'keep_days.by_plugin.' || pattern || ' = ' || plugins.days
        END AS rule
    FROM ranked
    LEFT JOIN plugins USING (target_plugin)
    LEFT JOIN severity_days USING (worst)
)
SELECT validation_run_id, target_plugin, "timestamp", issues::BIGINT AS issues, rule
FROM ruled
ANTI JOIN kept_runs USING (validation_run_id)
WHERE rule IS NOT NULL AND place_of_plugin > 1 AND stored_at <= $settled
ORDER BY "timestamp", stored_at, validation_run_id
