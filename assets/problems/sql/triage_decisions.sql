-- The last decision about each problem, of those handed in as parallel lists.
SELECT
    unnest($1::VARCHAR[]) AS fingerprint,
    unnest($2::VARCHAR[]) AS decision,
    unnest($3::TIMESTAMPTZ[]) AS decided_at,
    unnest($4::VARCHAR[]) AS actor,
    unnest($5::VARCHAR[]) AS reason,
    unnest($6::DATE[]) AS until
