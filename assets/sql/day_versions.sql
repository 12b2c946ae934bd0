-- Which rows does each day hold, as one name? The same rows give the same name however many files
-- they lie in, so a compaction leaves it as it is and anything a reader could notice changes it.
-- Parameter: the days.
SELECT
    run_date,
    left(
        sha256(
            string_agg(
                concat(strlen(validation_run_id), ':', validation_run_id, epoch_us(stored_at), batch_id),
                chr(31) ORDER BY validation_run_id, stored_at, batch_id
            )
        ),
        32
    ) AS version,
    count(*) AS runs,
    sum(critical_issues + high_issues + medium_issues + low_issues)::BIGINT AS issues
FROM {runs}
WHERE run_date IN (SELECT unnest($1::DATE[]))
GROUP BY run_date
ORDER BY run_date
