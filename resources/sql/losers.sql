-- Which stored copies of runs do not count, and in how large a file each lies?
-- The copy stored last counts; of the same copy in two files (a day while it is compacted) the one
-- in the larger file. A run deleted after it was stored does not count at all.
-- Reads: the tables of copies_tables.sql.
WITH repeated AS (
    SELECT validation_run_id FROM run_copies GROUP BY validation_run_id HAVING count(*) > 1
),
ranked AS (
    SELECT
        run_copies.validation_run_id,
        run_copies.filename,
        row_number() OVER (
            PARTITION BY run_copies.validation_run_id
            ORDER BY stored_at DESC, batch_id DESC, row_count DESC, run_copies.filename DESC
        ) AS place
    FROM run_copies
    SEMI JOIN repeated ON run_copies.validation_run_id = repeated.validation_run_id
    JOIN file_rows ON run_copies.filename = file_rows.filename
),
lost AS (
    SELECT filename, validation_run_id FROM ranked WHERE place > 1
    UNION
    SELECT run_copies.filename, run_copies.validation_run_id
    FROM run_copies
    JOIN deletions
        ON run_copies.validation_run_id = deletions.validation_run_id
        AND run_copies.stored_at <= deletions.deleted_at
)
SELECT lost.filename, lost.validation_run_id, file_rows.row_count
FROM lost JOIN file_rows ON lost.filename = file_rows.filename
