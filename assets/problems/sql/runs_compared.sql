-- Which run of each plugin is meant? By `{rank}`: 1 is the newest, 2 the one before it.
WITH scopes AS (
    {scopes}
)
SELECT validation_run_id, target_plugin, "timestamp", run_date, pipeline_score, categories, paths
FROM scopes
QUALIFY row_number() OVER (
    PARTITION BY target_plugin ORDER BY "timestamp" DESC, stored_at DESC, validation_run_id DESC
) = {rank}
ORDER BY target_plugin
