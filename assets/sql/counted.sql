-- How many issues a query selects, as its storage has counted them: those of the runs, and those that
-- pass every filter.
SELECT total, filtered FROM counted
