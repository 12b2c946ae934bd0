-- How many issues the runs that a query selects have, whatever else it asks of an issue.
SELECT coalesce(sum(critical_issues + high_issues + medium_issues + low_issues), 0)::BIGINT
FROM runs
WHERE {where}
