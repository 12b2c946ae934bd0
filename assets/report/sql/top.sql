-- Which {column} have most problems that are not fixed? `new` came up, or came back, from `$first` on.
SELECT
    {column} AS name,
    count(*) AS open,
    count(*) FILTER (severity = 'critical') AS critical,
    count(*) FILTER (severity = 'high') AS high,
    count(*) FILTER (severity = 'medium') AS medium,
    count(*) FILTER (severity = 'low') AS low,
    count(*) FILTER (opened_at::DATE >= $first) AS new,
    count(*) OVER () AS names
FROM report_open
WHERE {column} IS NOT NULL
GROUP BY {column}
ORDER BY open DESC, critical DESC, high DESC, medium DESC, name
LIMIT {limit}
