-- How many rows has each file? What their footers say, of encrypted files too.
INSERT INTO file_rows
SELECT filename, count(*)
FROM (FROM read_parquet($1, filename => true, hive_partitioning => false{encryption}){barrier})
GROUP BY filename
