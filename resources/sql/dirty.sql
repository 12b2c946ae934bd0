-- The rows of files in which some copies do not count, without those. Where no run that has lost a
-- copy has one that counts in these files, its id says all, and nothing is asked about the file.
SELECT {columns}
FROM (
    FROM read_parquet(
        getvariable('{table}_dirty'),
        filename => true,
        hive_partitioning => true,
        hive_types => {{'run_date': DATE}}{encryption}
    ){barrier}
) AS stored
WHERE NOT EXISTS (
    SELECT 1 FROM {table}_lost AS lost
    WHERE lost.validation_run_id = stored.validation_run_id{same_file}
)
