-- Which problems have a fingerprint that begins so? Two are enough to know that it is not the only one.
SELECT * REPLACE (severity::VARCHAR AS severity)
FROM problems
WHERE starts_with(fingerprint, $1)
LIMIT 2
