-- How many of the selected issues each category and severity has; no category counts as 'none'.
SELECT coalesce(category, 'none') AS category, severity::VARCHAR AS severity, count(*) AS issues
FROM issues
WHERE {where}
GROUP BY ALL
ORDER BY issues DESC, category
