"""The shape of the two tables and of a run file, declared once.

The Arrow schemas, the JSON Schema of a run file and the tables in `docs/` are derived from the
declarations below. Types are Arrow's names; `json` is a string that holds one JSON document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

SEVERITIES = ("critical", "high", "medium", "low")
"""From the worst to the mildest; this order is what `sort` and `min_severity` go by."""

CHANGE_TYPES = ("created", "modified", "deleted", "unknown")

DEFAULT_PLUGIN = "unknown"
DEFAULT_CHANGE_TYPE = "unknown"
SCORE_RANGE = (0, 100)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its type, whether it may be null, what it means."""

    name: str
    type: str
    nullable: bool
    meaning: str
    run_file_field: bool = False
    """True when the column is a field of a run file that users write themselves."""


def _field(name: str, type: str, nullable: bool, meaning: str) -> Column:
    return Column(name, type, nullable, meaning, run_file_field=True)


RUNS = (
    _field("validation_run_id", "string", False, "identity of the run; a UUIDv7 is made when absent"),
    _field("timestamp", "timestamp", False, "when the validation ran, microseconds, UTC"),
    _field("target_plugin", "string", False, "what was validated"),
    _field("change_type", "string", False, "created, modified, deleted or unknown"),
    _field("pipeline_score", "int16", True, "0 to 100"),
    _field("metadata", "json", True, "kept whole"),
    Column("critical_issues", "int32", False, "number of critical issues in the run"),
    Column("high_issues", "int32", False, "number of high issues in the run"),
    Column("medium_issues", "int32", False, "number of medium issues in the run"),
    Column("low_issues", "int32", False, "number of low issues in the run"),
    Column("content_hash", "string", False, "SHA-256 (first 128 bits, hex) of the run's content"),
    Column("source", "string", False, "the file or URL the run came from"),
    Column("stored_at", "timestamp", False, "when the run was stored, microseconds, UTC"),
    Column("batch_id", "string", False, "the batch that delivered the run"),
    Column("extra", "json", True, "fields that the contract does not name"),
)

ISSUES = (
    Column("validation_run_id", "string", False, "the run the issue belongs to"),
    Column("issue_index", "int32", False, "position in the run's issues_list, from 0"),
    Column("timestamp", "timestamp", False, "the run's timestamp, microseconds, UTC"),
    Column("target_plugin", "string", False, "the run's plugin"),
    _field("category", "string", True, "kind of problem, as the validator names it"),
    _field("severity", "string", False, "critical, high, medium or low"),
    _field("description", "string", False, "what is wrong"),
    _field("file_path", "string", True, "where it is wrong"),
    _field("recommendation", "string", True, "what to do about it"),
    _field("details", "json", True, "anything else the validator knows, kept whole"),
    Column("fingerprint", "string", False, "identity of the problem across runs (32 hex digits)"),
    Column("batch_id", "string", False, "the batch that delivered the run"),
    Column("extra", "json", True, "fields that the contract does not name"),
)

RUN_DATE = Column("run_date", "date", False, "UTC day of timestamp; the partition")
"""Both tables are partitioned by it: it stands in the path (`run_date=2025-08-29`), not in the file."""

RUN_FIELDS = frozenset(c.name for c in RUNS if c.run_file_field) | {"issues_list"}
ISSUE_FIELDS = frozenset(c.name for c in ISSUES if c.run_file_field)
SEVERITY_COUNTS = tuple(f"{s}_issues" for s in SEVERITIES)


def arrow_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """The Arrow schema of `columns`. Strings are plain `string`, which every engine mixes freely."""
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "json": pa.string(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "int16": pa.int16(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "date": pa.date32(),
        "boolean": pa.bool_(),
        "double": pa.float64(),
    }
    return pa.schema([pa.field(c.name, types[c.type], nullable=c.nullable) for c in columns])


_JSON_TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "json": {"type": "object"},
    "timestamp": {"type": "string", "format": "date-time"},
}

_JSON_RULES: dict[str, dict[str, Any]] = {
    "severity": {"enum": list(SEVERITIES)},
    "change_type": {"enum": list(CHANGE_TYPES), "default": DEFAULT_CHANGE_TYPE},
    "target_plugin": {"default": DEFAULT_PLUGIN},
    "pipeline_score": {"type": ["integer", "null"], "minimum": SCORE_RANGE[0], "maximum": SCORE_RANGE[1]},
}


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one run file document."""

    def properties(columns: tuple[Column, ...]) -> dict[str, Any]:
        return {
            c.name: {**_JSON_TYPES.get(c.type, {}), **_JSON_RULES.get(c.name, {}), "description": c.meaning}
            for c in columns
            if c.run_file_field
        }

    issue = {
        "type": "object",
        "properties": properties(ISSUES),
        "required": ["severity", "description"],
        "additionalProperties": True,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "issuelake run file",
        "type": "object",
        "properties": properties(RUNS)
        | {
            "issues_list": {
                "type": "array",
                "items": issue,
                "default": [],
                "description": "every issue found",
            }
        },
        "additionalProperties": True,
    }
