-- The problems that the issues of a bundle are part of, the worst first.
SELECT {columns}
FROM problems
WHERE fingerprint IN (SELECT fingerprint FROM read_parquet({issues}))
ORDER BY problems.severity, target_plugin, file_path NULLS FIRST, fingerprint
