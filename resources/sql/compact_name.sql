-- What a day holds, as one name: the same runs stored by the same batches give the same name.
SELECT
    left(
        sha256(
            string_agg(
                concat(strlen(validation_run_id), ':', validation_run_id, epoch_us(stored_at), batch_id),
                chr(31) ORDER BY validation_run_id
            )
        ),
        32
    ) AS name,
    count(*) AS runs,
    coalesce(sum(critical_issues + high_issues + medium_issues + low_issues), 0)::BIGINT AS issues
FROM runs
