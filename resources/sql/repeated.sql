-- Which runs lie in the files more than once? Nearly always none. Answers how many.
-- Hashes are quicker to count than ids. Two ids with one hash would only be looked at in vain.
INSERT INTO suspects
SELECT hash(validation_run_id)
FROM (FROM read_parquet($1, hive_partitioning => false{encryption}){barrier})
GROUP BY hash(validation_run_id)
HAVING count(*) > 1
