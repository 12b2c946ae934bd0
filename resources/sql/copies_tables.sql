-- What choosing between copies of runs works on. `suspects` are hashes of the ids worth looking at.
CREATE TEMP TABLE deletions (validation_run_id VARCHAR, deleted_at TIMESTAMPTZ);
CREATE TEMP TABLE suspects (id_hash UBIGINT);
CREATE TEMP TABLE run_copies (
    validation_run_id VARCHAR, stored_at TIMESTAMPTZ, batch_id VARCHAR, filename VARCHAR
);
CREATE TEMP TABLE file_rows (filename VARCHAR, row_count BIGINT);
CREATE TEMP TABLE twins (runs VARCHAR, issues VARCHAR);
