-- The copies of the suspects that lie in the files, and fulfil the condition.
INSERT INTO run_copies
SELECT validation_run_id, stored_at, batch_id, filename
FROM (FROM read_parquet($1, filename => true, hive_partitioning => false{encryption}){barrier})
WHERE hash(validation_run_id) IN (SELECT id_hash FROM suspects) AND {condition}
