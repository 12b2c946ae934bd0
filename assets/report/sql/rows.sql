-- The worst of the problems that are not fixed.
SELECT * REPLACE (
    severity::VARCHAR AS severity,
    epoch_us(first_seen) AS first_seen,
    epoch_us(last_seen) AS last_seen,
    epoch_us(opened_at) AS opened_at
)
FROM report_open
ORDER BY report_open.severity, target_plugin, file_path NULLS FIRST, fingerprint
LIMIT {limit}
