-- The score of each plugin's newest run, and that of the newest run before it that has one.
WITH ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY target_plugin ORDER BY "timestamp" DESC, stored_at DESC, validation_run_id DESC
        ) AS place
    FROM all_runs
    WHERE {where}
)
SELECT
    target_plugin,
    any_value(validation_run_id) FILTER (place = 1) AS validation_run_id,
    any_value(pipeline_score) FILTER (place = 1) AS score,
    arg_min(pipeline_score, place) FILTER (place > 1 AND pipeline_score IS NOT NULL) AS score_before
FROM ranked
GROUP BY target_plugin
ORDER BY target_plugin
