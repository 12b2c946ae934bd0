-- How many problems does a gate count, by severity? `fresh` came up, or came back, with their plugin's
-- newest run; `present` are all that are not fixed; `late` have passed their SLA.
SELECT
    severity::VARCHAR AS severity,
    count(*) FILTER ({fresh}) AS fresh,
    count(*) AS present,
    count(*) FILTER ({late}) AS late
FROM problems
WHERE {where}
GROUP BY ALL
