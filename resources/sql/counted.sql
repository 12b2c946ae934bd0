-- How many issues the runs that are selected have, and how many of them fulfil the other conditions.
SELECT
    (
        SELECT coalesce(sum(critical_issues + high_issues + medium_issues + low_issues), 0)::BIGINT
        FROM runs
        WHERE {where}
    ) AS total,
    (SELECT count(*) FROM issues WHERE {where} AND {filter}) AS filtered
