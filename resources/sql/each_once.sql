-- Is there one copy of each run? Nearly always, and then losers.sql need not run.
-- Hashes are quicker to count than ids. Two ids with one hash would only cost the longer way.
SELECT count(*) = count(DISTINCT hash(validation_run_id))
FROM read_parquet($1, hive_partitioning => false)
