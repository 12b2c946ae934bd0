"""What stays of a run that is retired, and of its issues."""

from __future__ import annotations

from resources import schema
from resources.schema import RUN_DATE, SEVERITY_COUNTS, Column

_RUN = {column.name: column for column in schema.RUNS}
_ISSUE = {column.name: column for column in schema.ISSUES}

RETIRED_AT = Column("retired_at", "timestamp", False, "copies stored up to this moment are hidden")
RETIRED_BY = Column("audit_id", "string", False, "the deletion that retired the run")

RUNS = (
    *(
        _RUN[name]
        for name in (
            "validation_run_id",
            "timestamp",
            "target_plugin",
            "pipeline_score",
            "metadata",
            *SEVERITY_COUNTS,
            "stored_at",
            "batch_id",
        )
    ),
    RUN_DATE,
)
"""Of `metadata` only `scope` stays."""

ISSUES = (
    *(
        _ISSUE[name]
        for name in (
            "validation_run_id",
            "timestamp",
            "target_plugin",
            "category",
            "severity",
            "description",
            "file_path",
            "fingerprint",
        )
    ),
    Column("rule", "string", True, "the rule that it breaks, where the details name one"),
    RUN_DATE,
)
