-- The rows of files in which every copy counts.
SELECT {columns}
FROM (
    FROM read_parquet(
        getvariable('{table}_clean'),
        hive_partitioning => true,
        hive_types => {{'run_date': DATE}}{encryption}
    ){barrier}
)
