-- By when had every copy lost that does not count? Seconds since 1970; null where all of them count.
-- Reads: what losers.sql reads.
WITH losers AS (
    {losers}
)
SELECT epoch(max(moment))
FROM (
    SELECT max(stored_at) AS moment
    FROM run_copies SEMI JOIN losers ON run_copies.validation_run_id = losers.validation_run_id
    UNION ALL
    SELECT max(deleted_at) AS moment
    FROM deletions SEMI JOIN losers ON deletions.validation_run_id = losers.validation_run_id
) AS moments
