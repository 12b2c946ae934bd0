-- By which {column} were there most problems at any time from `$first` to `$last`?
WITH lives AS (
    SELECT
        fingerprint,
        {column} AS name,
        opened_at::DATE >= $first AS began,
        coalesce(fixed_at::DATE <= $last, false) AS ended,
        row_number() OVER (
            PARTITION BY fingerprint ORDER BY opened_at, opened_stored_at, opened_run_id
        ) = 1 AS is_first,
        coalesce(fixed_at::DATE >= $first, true) AS there
    FROM problem_lives
    WHERE {column} IS NOT NULL
        AND opened_at::DATE <= $last
        AND ($plugin IS NULL OR target_plugin = $plugin)
)
SELECT
    name,
    count(DISTINCT fingerprint) AS problems,
    count(*) FILTER (began AND is_first) AS new,
    count(*) FILTER (began AND NOT is_first) AS reopened,
    count(*) FILTER (ended) AS fixed,
    count(*) FILTER (NOT ended) AS open
FROM lives
WHERE there
GROUP BY name
ORDER BY problems DESC, open DESC, name
LIMIT $limit
