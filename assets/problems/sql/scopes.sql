-- Where did each run look? `categories` and `paths` (as regular expressions) are null where it looked
-- for or at everything, which is so too where `metadata.scope` has another shape than docs/run-files.md says.
SELECT
    * EXCLUDE (scope),
    coalesce(
        TRY_CAST(scope AS VARCHAR[]), TRY_CAST(scope->'$.categories' AS VARCHAR[])
    ) AS categories,
    list_transform(
        list_filter(TRY_CAST(scope->'$.paths' AS VARCHAR[]), lambda said: length(said) <= {longest}),
        lambda said: {regex}
    ) AS paths
FROM (
    SELECT
        validation_run_id, target_plugin, "timestamp", stored_at, run_date, pipeline_score,
        CASE WHEN contains(metadata, '"scope"') THEN metadata->'$.scope' END AS scope
    FROM {runs}
    WHERE {span}
)
