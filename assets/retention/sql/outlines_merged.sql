-- Those rows of files of outlines that stay, in the order that they are written in. Reads: outlines, stays.
SELECT outlines.*
FROM outlines
SEMI JOIN stays USING (validation_run_id, audit_id)
ORDER BY {order}
