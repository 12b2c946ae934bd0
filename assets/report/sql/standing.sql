-- How many problems of each severity are not fixed, and how do they stand against their SLA?
SELECT
    severity::VARCHAR AS severity,
    count(*) AS open,
    count(*) FILTER (triage <> 'none') AS triaged,
    count(*) FILTER (sla_days_left < 0) AS breached,
    count(*) FILTER (sla_days_left BETWEEN 0 AND {soon}) AS due_soon,
    max(age_days) AS oldest_days
FROM report_open
GROUP BY report_open.severity
ORDER BY report_open.severity
