-- How many issues an export holds, by plugin and severity.
SELECT target_plugin, severity::VARCHAR AS severity, count(*) AS issues
FROM ({selected}) AS selected
GROUP BY ALL
ORDER BY ALL
