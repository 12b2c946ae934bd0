-- How many rows has each file? What their footers say, of encrypted files too.
INSERT INTO file_rows
SELECT filename, count(*)
FROM read_parquet($1, filename => true, hive_partitioning => false{encryption})
GROUP BY filename
