-- When was each run deleted for the last time?
INSERT INTO deletions
SELECT validation_run_id, max(deleted_at)
FROM (FROM read_parquet($1, hive_partitioning => false{encryption}){barrier})
GROUP BY validation_run_id
