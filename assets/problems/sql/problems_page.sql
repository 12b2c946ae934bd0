-- A page of the problems that pass every filter, the worst first, and how many there are in all.
SELECT * REPLACE (severity::VARCHAR AS severity), count(*) OVER () AS total
FROM problems
WHERE {where}
ORDER BY problems.severity, target_plugin, file_path NULLS FIRST, fingerprint
LIMIT {limit} OFFSET {offset}
