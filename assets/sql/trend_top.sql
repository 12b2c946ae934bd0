-- By which {column} were there most problems at any time from `$first` to `$last`?
WITH problems AS (
    SELECT
        any_value({column}) AS name,
        min(opened_at)::DATE >= $first AS is_new,
        count(*) FILTER (opened_at::DATE >= $first) AS began,
        count(*) FILTER (fixed_at::DATE BETWEEN $first AND $last) AS ended,
        count(*) FILTER (coalesce(fixed_at::DATE > $last, true)) AS open
    FROM trend_lives
    WHERE {column} IS NOT NULL
    GROUP BY fingerprint
)
SELECT
    name,
    count(*) AS problems,
    count(*) FILTER (is_new) AS new,
    (sum(began) - count(*) FILTER (is_new))::BIGINT AS reopened,
    sum(ended)::BIGINT AS fixed,
    sum(open)::BIGINT AS open
FROM problems
WHERE ended > 0 OR problems.open > 0
GROUP BY name
ORDER BY problems DESC, open DESC, name
LIMIT $limit
