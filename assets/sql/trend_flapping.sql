-- Which problems came back at least `$often` times from `$first` to `$last`, after they were fixed?
-- Texts and severity are those of the last life that began in that time.
WITH lives AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY fingerprint ORDER BY opened_at, opened_stored_at, opened_run_id
        ) AS place
    FROM trend_lives
    SEMI JOIN (
        SELECT fingerprint FROM trend_lives GROUP BY fingerprint HAVING count(*) > $often
    ) USING (fingerprint)
)
SELECT
    fingerprint,
    target_plugin,
    category,
    severity::VARCHAR AS severity,
    description,
    file_path,
    rule,
    count(*) FILTER (place > 1 AND opened_at::DATE >= $first) OVER problem AS reopened,
    coalesce(fixed_at::DATE > $last, true) AS open
FROM lives
WINDOW problem AS (PARTITION BY fingerprint)
QUALIFY place = max(place) OVER problem AND reopened >= $often
ORDER BY reopened DESC, lives.severity, target_plugin, file_path NULLS FIRST, fingerprint
LIMIT $limit
