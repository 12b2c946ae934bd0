-- Which copies of runs do not count, of those that the backend has and of those held for it?
-- The copy stored last counts; the backend's own where it has the same one already. A copy that was
-- stored up to a deletion that the backend has not heard of does not count.
-- What a holder had already when it was delivered again counts as stored when that was entered.
UPDATE runs_owed
SET stored_at = greatest(runs_owed.stored_at, owed_ids.entered_at)
FROM owed_ids
WHERE owed_ids.part = runs_owed.part AND owed_ids.validation_run_id = runs_owed.validation_run_id;
CREATE TEMP TABLE held_lost AS
SELECT held.validation_run_id
FROM runs_held AS held
LEFT JOIN (
    SELECT validation_run_id, max((stored_at, batch_id)) AS copy FROM runs_owed GROUP BY validation_run_id
) AS owed ON owed.validation_run_id = held.validation_run_id
WHERE owed.copy > (held.stored_at, held.batch_id)
    OR (owed.copy IS NULL AND held.validation_run_id IN (SELECT validation_run_id FROM owed_ids))
    OR EXISTS (
        SELECT 1 FROM owed_deletions AS gone
        WHERE gone.validation_run_id = held.validation_run_id AND held.stored_at <= gone.deleted_at
    );
CREATE TEMP TABLE owed_lost AS
WITH ranked AS (
    SELECT
        validation_run_id,
        batch_id,
        stored_at,
        part,
        row_number() OVER (
            PARTITION BY validation_run_id ORDER BY stored_at DESC, batch_id DESC, part
        ) AS place
    FROM runs_owed
)
SELECT validation_run_id, part
FROM ranked
WHERE place > 1 OR EXISTS (
    SELECT 1 FROM runs_held AS held
    WHERE held.validation_run_id = ranked.validation_run_id
        AND (held.stored_at, held.batch_id) >= (ranked.stored_at, ranked.batch_id)
) OR EXISTS (
    SELECT 1 FROM owed_deletions AS gone
    WHERE gone.validation_run_id = ranked.validation_run_id AND ranked.stored_at <= gone.deleted_at
);
