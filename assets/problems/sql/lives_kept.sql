-- The lives that ended in a span, or those that go on after it, in the order in which they are kept.
SELECT * REPLACE (severity::VARCHAR AS severity)
FROM lives_now
WHERE (fixed_at IS NOT NULL) = {ended}
ORDER BY target_plugin, file_path, fingerprint, opened_at, opened_stored_at, opened_run_id
