-- What stays of the issues of runs that are retired; those of one problem lie side by side, since they
-- are nearly the same. Parameters: the ids of the runs.
SELECT {columns}, $audit_id AS audit_id
FROM issues
WHERE validation_run_id IN (SELECT unnest($ids::VARCHAR[]))
ORDER BY target_plugin, fingerprint, "timestamp", validation_run_id
