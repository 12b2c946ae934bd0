-- What uniting a backend with what others hold for it works on, beside `runs_owed` and `issues_owed`.
CREATE TEMP TABLE owed_ids (part INTEGER, validation_run_id VARCHAR, entered_at TIMESTAMPTZ);
CREATE TEMP TABLE owed_deletions (validation_run_id VARCHAR, deleted_at TIMESTAMPTZ);
