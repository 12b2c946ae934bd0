-- What does each run of some days hold? A digest over all that was delivered, how many issues there
-- are and how many the run counts, and about how many bytes they take. The same content has the same
-- digest in every storage: where a run came from, when, and in which batch is not in it.
-- Parameters: the first and the last day.
WITH of_issues AS (
    SELECT
        validation_run_id,
        count(*) AS issues,
        sum(
            strlen(description) + coalesce(strlen(details), 0) + coalesce(strlen(extra), 0)
            + coalesce(strlen(recommendation), 0) + coalesce(strlen(file_path), 0) + 200
        ) AS bytes,
        bit_xor(
            md5_number(
                to_json(
                    [
                        issue_index::VARCHAR, target_plugin, category, severity::VARCHAR, description,
                        file_path, recommendation, details, fingerprint, extra
                    ]
                )::VARCHAR
            )
        ) AS digest
    FROM issues
    WHERE run_date BETWEEN $1 AND $2
    GROUP BY validation_run_id
)
SELECT
    runs.run_date,
    runs.validation_run_id,
    runs.stored_at,
    coalesce(of_issues.issues, 0)::BIGINT AS issues,
    (critical_issues + high_issues + medium_issues + low_issues)::BIGINT AS counted,
    (
        coalesce(of_issues.bytes, 0) + coalesce(strlen(metadata), 0) + coalesce(strlen(extra), 0) + 1000
    )::BIGINT AS bytes,
    md5(
        to_json(
            [
                runs.validation_run_id, target_plugin, change_type, pipeline_score::VARCHAR, metadata,
                critical_issues::VARCHAR, high_issues::VARCHAR, medium_issues::VARCHAR, low_issues::VARCHAR,
                content_hash, extra, of_issues.issues::VARCHAR, of_issues.digest::VARCHAR
            ]
        )::VARCHAR
    ) AS digest
FROM runs
LEFT JOIN of_issues ON runs.validation_run_id = of_issues.validation_run_id
WHERE runs.run_date BETWEEN $1 AND $2
ORDER BY runs.run_date, runs.validation_run_id
