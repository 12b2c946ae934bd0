-- The issues of the runs in `compared` where each looked, and whether the run it is compared with
-- (`other_…`) looked there, too.
SELECT
    issues.* EXCLUDE (batch_id, run_date) REPLACE (issues.severity::VARCHAR AS severity),
    coalesce(
        (other_categories IS NULL OR list_contains(other_categories, coalesce(category, '')))
        AND (other_paths IS NULL OR list_bool_or(
            list_transform(other_paths, lambda path: regexp_matches(coalesce(file_path, ''), path, 's'))
        )),
        false
    ) AS looked_at
FROM issues
JOIN compared USING (validation_run_id)
WHERE (categories IS NULL OR list_contains(categories, coalesce(category, '')))
    AND (paths IS NULL OR list_bool_or(
        list_transform(paths, lambda path: regexp_matches(coalesce(file_path, ''), path, 's'))
    ))
ORDER BY issues.severity, target_plugin, file_path NULLS FIRST, validation_run_id, issue_index
