-- The figures of all selected runs, from their own counts.
SELECT
    count(*) AS runs,
    coalesce(sum(critical_issues), 0)::BIGINT AS critical_issues,
    coalesce(sum(high_issues), 0)::BIGINT AS high_issues,
    coalesce(sum(medium_issues), 0)::BIGINT AS medium_issues,
    coalesce(sum(low_issues), 0)::BIGINT AS low_issues,
    round(avg(pipeline_score), 2) AS average_score
FROM runs
WHERE {where}
