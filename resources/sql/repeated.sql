-- Which runs lie in the files more than once? Nearly always none. Answers how many times too often.
-- Hashes are quicker to compare than ids, and to sort than to group. Two ids with one hash would only
-- be looked at in vain.
INSERT INTO suspects
SELECT id_hash
FROM (
    SELECT id_hash, lag(id_hash) OVER (ORDER BY id_hash) AS before
    FROM (
        SELECT hash(validation_run_id) AS id_hash
        FROM (FROM read_parquet($1, hive_partitioning => false{encryption}){barrier})
    )
)
WHERE id_hash = before
