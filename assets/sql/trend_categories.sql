-- How many issues of each category were reported in each period? `target_plugin` is null in the rows of
-- all plugins together, `category` where the validator names none.
SELECT
    date_trunc('{grain}', run_date)::DATE AS period,
    target_plugin,
    category,
    count(*) AS total_issues,
    count(*) FILTER (severity = 'critical') AS critical_issues,
    count(*) FILTER (severity = 'high') AS high_issues,
    count(*) FILTER (severity = 'medium') AS medium_issues,
    count(*) FILTER (severity = 'low') AS low_issues
FROM all_issues
WHERE ($plugin IS NULL OR target_plugin = $plugin)
GROUP BY GROUPING SETS ((1, category), (1, category, target_plugin))
ORDER BY grouping(target_plugin) DESC, target_plugin, period, total_issues DESC, category NULLS FIRST
