-- Does any run that has lost a copy in one of the files in which some copies count have another copy
-- that counts in them? Reads: what losers.sql reads, `losers`, `twins`.
SELECT count(*) > 0
FROM run_copies AS kept
SEMI JOIN losers AS lost ON lost.validation_run_id = kept.validation_run_id
SEMI JOIN twins ON twins.runs = kept.filename
ANTI JOIN losers AS itself
    ON itself.validation_run_id = kept.validation_run_id AND itself.filename = kept.filename
