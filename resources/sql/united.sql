-- What a backend has and what others hold for it, each run once.
SELECT {columns}
FROM {table}_held AS held
WHERE NOT EXISTS (
    SELECT 1 FROM held_lost AS lost WHERE lost.validation_run_id = held.validation_run_id
)
UNION ALL
SELECT {columns}
FROM {table}_owed AS owed
WHERE NOT EXISTS (
    SELECT 1 FROM owed_lost AS lost
    WHERE lost.validation_run_id = owed.validation_run_id AND lost.part = owed.part
)
