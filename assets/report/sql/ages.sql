-- How many problems of each severity are how old? `bucket` counts the `bounds` (days) that an age has reached.
SELECT
    len(list_filter({bounds}, lambda bound: age_days >= bound)) AS bucket,
    severity::VARCHAR AS severity,
    count(*) AS open
FROM report_open
GROUP BY bucket, report_open.severity
ORDER BY bucket, report_open.severity
