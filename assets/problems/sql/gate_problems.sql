-- The worst of the problems for which a rule of a gate does not hold.
SELECT fingerprint, target_plugin, severity::VARCHAR AS severity, status, file_path, description
FROM problems
WHERE {where} AND {condition} AND problems.severity::VARCHAR IN (SELECT unnest($severities::VARCHAR[]))
ORDER BY problems.severity, target_plugin, file_path NULLS FIRST, fingerprint
LIMIT {limit}
