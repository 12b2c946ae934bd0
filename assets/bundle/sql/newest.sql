-- When did the newest of the selected runs happen? Null where none is selected.
SELECT max("timestamp") FROM runs WHERE {where}
