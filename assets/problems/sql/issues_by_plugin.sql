-- How many issues did the runs of each plugin report, by the plugin's name?
SELECT
    target_plugin,
    sum(critical_issues + high_issues + medium_issues + low_issues)::BIGINT AS issues
FROM all_runs
GROUP BY target_plugin
ORDER BY target_plugin
