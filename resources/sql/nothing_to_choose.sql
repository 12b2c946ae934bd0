-- Is there one copy of each run, and no deletion? Nearly always, and then losers.sql need not run.
-- Reads: tables run_copies and deletions.
SELECT
    count(*) = count(DISTINCT validation_run_id) AND NOT EXISTS (SELECT 1 FROM deletions)
FROM run_copies
