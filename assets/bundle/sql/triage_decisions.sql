-- What was decided last about the problems of a bundle.
SELECT fingerprint, decision, decided_at, actor, reason, until
FROM triage_decisions
WHERE fingerprint IN (SELECT fingerprint FROM read_parquet({issues}))
ORDER BY fingerprint
