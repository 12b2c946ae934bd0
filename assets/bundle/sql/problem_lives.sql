-- Every life of the problems of a bundle, problem by problem.
SELECT {columns}
FROM problem_lives
WHERE fingerprint IN (SELECT fingerprint FROM read_parquet({issues}))
ORDER BY fingerprint, opened_at, opened_stored_at, opened_run_id
