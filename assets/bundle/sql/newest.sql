-- When did the newest of the selected runs happen? Null where there is none.
SELECT max("timestamp") FROM runs WHERE {where}
