-- What is to become of each outline, file by file? Its own mark is the last one on the run (it counts), or
-- another one came later (it is overtaken), or its own is not there (yet). Where several files have the
-- same outline, `stays` is true in one of them: the one with most that count, and least besides.
-- Reads: outlines, marks.
WITH newest AS (
    SELECT validation_run_id, max(deleted_at) AS deleted_at FROM marks GROUP BY validation_run_id
),
judged AS (
    SELECT
        outlines.validation_run_id,
        audit_id,
        issues_path,
        coalesce(newest.deleted_at = retired_at, false) AS counts,
        coalesce(newest.deleted_at > retired_at, false) AS overtaken
    FROM outlines
    LEFT JOIN newest ON newest.validation_run_id = outlines.validation_run_id
),
files AS (
    SELECT issues_path, count(*) FILTER (counts) AS counting, count(*) AS outlines
    FROM judged
    GROUP BY issues_path
)
SELECT
    issues_path,
    list({'validation_run_id': validation_run_id, 'audit_id': audit_id}) FILTER (stays) AS stays,
    count(*) FILTER (overtaken) AS overtaken,
    count(*) FILTER (NOT counts AND NOT overtaken) AS pending
FROM (
    SELECT
        judged.*,
        counts AND row_number() OVER (
            PARTITION BY validation_run_id, audit_id ORDER BY counting DESC, outlines, issues_path
        ) = 1 AS stays
    FROM judged
    JOIN files USING (issues_path)
)
GROUP BY issues_path
ORDER BY issues_path
