-- When did the oldest and the newest of the selected runs happen? Null where there is none.
SELECT min("timestamp"), max("timestamp") FROM runs WHERE {where}
