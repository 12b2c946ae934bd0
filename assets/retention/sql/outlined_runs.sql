-- What stays of the runs that are retired. Parameters: their ids, and of each the moment of that.
SELECT
    {columns},
    retired.retired_at,
    $audit_id AS audit_id
FROM runs
JOIN (
    SELECT unnest($ids::VARCHAR[]) AS validation_run_id, unnest($moments::TIMESTAMPTZ[]) AS retired_at
) AS retired USING (validation_run_id)
ORDER BY target_plugin, "timestamp", validation_run_id
