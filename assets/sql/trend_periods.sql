-- How did each plugin, and all of them together, do in each period? One row per period and plugin;
-- `target_plugin` is null in the rows of all together.
--
-- `trend_days` are the rows of daily_summary from `$first` to `$last`, `trend_rejected` how many runs
-- were refused and how many came in on each of these days. `trend_lives` go back to the beginning:
-- what was there before `$first` has the period null until the last step, where its only use is to
-- be open.
WITH counted AS (
    SELECT
        date_trunc('{grain}', run_date)::DATE AS period,
        target_plugin,
        grouping(target_plugin) = 1 AS overall,
        sum(runs)::BIGINT AS runs,
        sum(clean_runs)::BIGINT AS clean_runs,
        sum(total_issues)::BIGINT AS total_issues,
        sum(critical_issues)::BIGINT AS critical_issues,
        sum(high_issues)::BIGINT AS high_issues,
        sum(medium_issues)::BIGINT AS medium_issues,
        sum(low_issues)::BIGINT AS low_issues,
        -- An average of whole numbers times their count is a whole number again.
        sum(round(average_score * scored_runs)) / nullif(sum(scored_runs), 0) AS average_score,
        min(lowest_score) AS lowest_score
    FROM trend_days
    GROUP BY GROUPING SETS ((1), (1, target_plugin))
),
events AS (
    SELECT target_plugin, opened_at::DATE AS day, 1 AS began, 0 AS new, 0 AS fixed, NULL AS days_to_fix
    FROM trend_lives
    UNION ALL
    -- Lives that begin at the same moment begin on the same day, so which is the first does not matter.
    SELECT any_value(target_plugin), min(opened_at)::DATE, 0, 1, 0, NULL
    FROM trend_lives
    GROUP BY fingerprint
    UNION ALL
    SELECT target_plugin, fixed_at::DATE, 0, 0, 1, epoch(fixed_at - opened_at) / 86400
    FROM trend_lives
    WHERE fixed_at::DATE <= $last
),
flow AS (
    SELECT
        CASE WHEN day >= $first THEN date_trunc('{grain}', day)::DATE END AS period,
        target_plugin,
        grouping(target_plugin) = 1 AS overall,
        sum(new)::BIGINT AS new,
        sum(began - new)::BIGINT AS reopened,
        sum(fixed)::BIGINT AS fixed,
        avg(days_to_fix) AS mean_days_to_fix,
        median(days_to_fix) AS median_days_to_fix
    FROM events
    GROUP BY GROUPING SETS ((1), (1, target_plugin))
),
refused AS (
    SELECT
        date_trunc('{grain}', day)::DATE AS period,
        true AS overall,
        sum(rejected)::BIGINT AS rejected,
        sum(received)::BIGINT AS received
    FROM trend_rejected
    GROUP BY 1
),
followed AS (
    SELECT
        *,
        sum(coalesce(new, 0) + coalesce(reopened, 0) - coalesce(fixed, 0)) OVER (
            PARTITION BY overall, target_plugin ORDER BY period NULLS FIRST
        )::BIGINT AS open
    FROM (
        SELECT
            coalesce(counted.period, flow.period, refused.period) AS period,
            coalesce(counted.overall, flow.overall, refused.overall) AS overall,
            coalesce(counted.target_plugin, flow.target_plugin) AS target_plugin,
            * EXCLUDE (period, overall, target_plugin)
        FROM counted
        FULL JOIN flow
            ON flow.period = counted.period
            AND flow.overall = counted.overall
            AND flow.target_plugin IS NOT DISTINCT FROM counted.target_plugin
        FULL JOIN refused
            ON refused.period = coalesce(counted.period, flow.period)
            AND refused.overall = coalesce(counted.overall, flow.overall)
    )
)
SELECT
    period,
    target_plugin,
    coalesce(runs, 0) AS runs,
    coalesce(clean_runs, 0) AS clean_runs,
    coalesce(total_issues, 0) AS total_issues,
    coalesce(critical_issues, 0) AS critical_issues,
    coalesce(high_issues, 0) AS high_issues,
    coalesce(medium_issues, 0) AS medium_issues,
    coalesce(low_issues, 0) AS low_issues,
    average_score,
    lowest_score,
    coalesce(new, 0) AS new,
    coalesce(reopened, 0) AS reopened,
    coalesce(fixed, 0) AS fixed,
    open,
    mean_days_to_fix,
    median_days_to_fix,
    CASE WHEN overall AND $plugin IS NULL THEN coalesce(rejected, 0) END AS rejected,
    CASE WHEN overall AND $plugin IS NULL THEN coalesce(rejected / received, 0) END AS rejected_share
FROM followed
WHERE period IS NOT NULL
ORDER BY overall DESC, target_plugin, period
