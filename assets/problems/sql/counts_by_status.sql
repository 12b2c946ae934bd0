-- How many problems are in each state, and how many of each severity among those?
SELECT
    status,
    count(*) AS problems,
    count(*) FILTER (severity = 'critical') AS critical,
    count(*) FILTER (severity = 'high') AS high,
    count(*) FILTER (severity = 'medium') AS medium,
    count(*) FILTER (severity = 'low') AS low,
    count(*) FILTER (triage <> 'none') AS triaged,
    count(*) FILTER (sla_days_left < 0) AS sla_breached
FROM problems
GROUP BY status
