-- Which outlines count? Those of runs that are not stored (any more), whose own mark is the last one on
-- the run: a deletion that came later is somebody's, and takes what had stayed of the run, too.
-- Reads: outlines, marks, runs. Parameters: the days.
SELECT outlines.*
FROM outlines
JOIN (
    SELECT validation_run_id, max(deleted_at) AS deleted_at FROM marks GROUP BY validation_run_id
) AS newest ON newest.validation_run_id = outlines.validation_run_id
    AND newest.deleted_at = outlines.retired_at
ANTI JOIN runs ON runs.validation_run_id = outlines.validation_run_id
WHERE outlines.run_date BETWEEN $first AND $last
QUALIFY row_number() OVER (PARTITION BY outlines.validation_run_id ORDER BY audit_id, issues_path) = 1
