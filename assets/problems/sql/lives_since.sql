-- What became of each problem in a span of days? Every life that was open before the span
-- (`lives_before`) or began in it, as of the span's end.
--
-- A life is a streak of a plugin's runs that saw the problem, leaving out runs that did not look
-- where it is; the first run that looked and did not see it ends it. A plugin's runs go by
-- timestamp, then moment of storing, then id; `turn` numbers them within the span, and 0 stands
-- for everything before. `next_look` is the first later turn that looked, which both ends a life
-- and finds the next: for plugins whose runs all look everywhere it is the turn after.
WITH scopes AS (
    {scopes}
),
turns AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY target_plugin ORDER BY "timestamp", stored_at, validation_run_id) AS turn,
        count(*) OVER plugin AS last_turn,
        bool_or(categories IS NOT NULL OR paths IS NOT NULL) OVER plugin AS scoped
    FROM scopes
    WINDOW plugin AS (PARTITION BY target_plugin)
),
validated AS (
    SELECT target_plugin, any_value(last_turn) AS last_turn, any_value(scoped) AS scoped
    FROM turns
    GROUP BY target_plugin
),
marks AS (
    SELECT
        fingerprint, target_plugin, 0 AS turn, last_turn, scoped,
        CASE WHEN scoped THEN coalesce(category, '') END AS category,
        CASE WHEN scoped THEN coalesce(file_path, '') END AS file_path
    FROM lives_before
    JOIN validated USING (target_plugin)
    UNION ALL
    SELECT
        issues.fingerprint, turns.target_plugin, turn, last_turn, scoped,
        CASE WHEN scoped THEN coalesce(issues.category, '') END,
        CASE WHEN scoped THEN coalesce(issues.file_path, '') END
    FROM all_issues AS issues
    JOIN turns ON turns.validation_run_id = issues.validation_run_id
    WHERE {issues_span}
        AND (categories IS NULL OR list_contains(categories, coalesce(issues.category, '')))
        AND (paths IS NULL OR list_bool_or(
            list_transform(paths, lambda path: regexp_matches(coalesce(issues.file_path, ''), path, 's'))
        ))
),
places AS (
    SELECT DISTINCT target_plugin, category, file_path FROM marks WHERE scoped
),
looks AS (
    SELECT places.*, turns.turn
    FROM places
    JOIN turns USING (target_plugin)
    WHERE (categories IS NULL OR list_contains(categories, places.category))
        AND (paths IS NULL OR list_bool_or(
            list_transform(paths, lambda path: regexp_matches(places.file_path, path, 's'))
        ))
),
followed AS (
    SELECT fingerprint, target_plugin, turn, CASE WHEN turn < last_turn THEN turn + 1 END AS next_look
    FROM marks
    WHERE NOT scoped
    UNION ALL
    SELECT marks.fingerprint, marks.target_plugin, marks.turn, looks.turn
    FROM (FROM marks WHERE scoped) AS marks
    ASOF LEFT JOIN looks
        ON looks.target_plugin = marks.target_plugin
        AND looks.category = marks.category
        AND looks.file_path = marks.file_path
        AND looks.turn > marks.turn
),
ended AS (
    SELECT
        *,
        next_look IS NOT NULL
        AND next_look IS DISTINCT FROM lead(turn) OVER (PARTITION BY fingerprint ORDER BY turn) AS ends
    FROM followed
),
numbered AS (
    SELECT
        *,
        count(*) FILTER (ends) OVER (
            PARTITION BY fingerprint ORDER BY turn ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS life
    FROM ended
),
spans AS (
    SELECT
        fingerprint, target_plugin,
        min(turn) AS first_turn,
        max(turn) AS last_turn,
        count(*) FILTER (turn > 0) AS runs_seen,
        max(next_look) FILTER (ends) AS fixed_turn
    FROM numbered
    GROUP BY fingerprint, target_plugin, life
)
SELECT
    spans.fingerprint,
    spans.target_plugin,
    CASE WHEN spans.last_turn = 0 THEN before.category ELSE seen.category END AS category,
    CASE WHEN spans.last_turn = 0 THEN before.severity ELSE seen.severity END AS severity,
    CASE WHEN spans.last_turn = 0 THEN before.description ELSE seen.description END AS description,
    CASE WHEN spans.last_turn = 0 THEN before.file_path ELSE seen.file_path END AS file_path,
    CASE WHEN spans.last_turn = 0 THEN before.rule ELSE {rule} END AS rule,
    coalesce(before.opened_at, opening."timestamp") AS opened_at,
    coalesce(before.opened_stored_at, opening.stored_at) AS opened_stored_at,
    coalesce(before.opened_run_id, opening.validation_run_id) AS opened_run_id,
    coalesce(latest."timestamp", before.last_seen_at) AS last_seen_at,
    coalesce(latest.validation_run_id, before.last_run_id) AS last_run_id,
    (coalesce(before.runs_seen, 0) + spans.runs_seen)::INTEGER AS runs_seen,
    ending."timestamp" AS fixed_at,
    ending.validation_run_id AS fixed_run_id,
    spans.last_turn = validated.last_turn AS checked
FROM spans
JOIN validated USING (target_plugin)
LEFT JOIN lives_before AS before ON spans.first_turn = 0 AND before.fingerprint = spans.fingerprint
LEFT JOIN turns AS opening
    ON opening.target_plugin = spans.target_plugin AND opening.turn = spans.first_turn
LEFT JOIN turns AS latest ON latest.target_plugin = spans.target_plugin AND latest.turn = spans.last_turn
LEFT JOIN turns AS ending ON ending.target_plugin = spans.target_plugin AND ending.turn = spans.fixed_turn
LEFT JOIN (FROM all_issues AS issues WHERE {issues_span}) AS seen
    ON seen.validation_run_id = latest.validation_run_id AND seen.fingerprint = spans.fingerprint
UNION ALL
SELECT before.* FROM lives_before AS before ANTI JOIN validated USING (target_plugin)
