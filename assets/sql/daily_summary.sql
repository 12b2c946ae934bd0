-- How did each plugin do on each day? One row per day and plugin, the worst of a day first.
SELECT
    run_date,
    target_plugin,
    count(*) AS runs,
    count(*) FILTER (
        critical_issues + high_issues + medium_issues + low_issues = 0
    ) AS clean_runs,
    sum(critical_issues + high_issues + medium_issues + low_issues)::BIGINT AS total_issues,
    sum(critical_issues)::BIGINT AS critical_issues,
    sum(high_issues)::BIGINT AS high_issues,
    sum(medium_issues)::BIGINT AS medium_issues,
    sum(low_issues)::BIGINT AS low_issues,
    count(pipeline_score) AS scored_runs,
    avg(pipeline_score) AS average_score,
    min(pipeline_score) AS lowest_score,
    max("timestamp") AS latest_run
FROM {runs}
GROUP BY run_date, target_plugin
ORDER BY
    run_date,
    critical_issues DESC,
    high_issues DESC,
    medium_issues DESC,
    low_issues DESC,
    target_plugin
