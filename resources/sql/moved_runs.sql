-- Runs with copies on several days: each losing copy's day, and the day of the copy that counts.
WITH ranked AS (
    SELECT
        validation_run_id,
        run_date,
        first_value(run_date) OVER (
            PARTITION BY validation_run_id ORDER BY stored_at DESC, batch_id DESC
        ) AS other_date
    FROM (
        FROM read_parquet($1, hive_partitioning => true, hive_types => {{'run_date': DATE}}{encryption}){barrier}
    )
    WHERE validation_run_id IN (
        SELECT validation_run_id
        FROM (
            FROM read_parquet(
                $1, hive_partitioning => true, hive_types => {{'run_date': DATE}}{encryption}
            ){barrier}
        )
        GROUP BY validation_run_id
        HAVING count(DISTINCT run_date) > 1
    )
)
SELECT DISTINCT validation_run_id, run_date, other_date FROM ranked WHERE run_date <> other_date
