"""The JSON Schemas (2020-12) of operation documents and answers, derived from the types they have."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from assets.exports.formats import FORMATS
from assets.query import MAX_LIMIT, Query
from pipelines.operations.document import Document
from resources.backends import BACKENDS, settings_of
from resources.backends.custom import CUSTOM_BACKENDS, CustomBackend
from resources.config import AUTO
from resources.schema import ISSUES, SEVERITIES, Column, json_schema
from resources.selection.standing import State
from resources.selection.trace import Attempt

Schema = dict[str, Any]
Count = Annotated[int, Meta(ge=0)]
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]

_REFERENCE = "#/$defs/{name}"
_COLUMN_TYPES: dict[str, Schema] = {
    "string": {"type": "string"},
    "json": {"type": "object"},
    "timestamp": {"type": "string", "format": "date-time"},
    "int16": {"type": "integer"},
    "int32": {"type": "integer"},
}


def _row(columns: tuple[Column, ...]) -> Schema:
    """A row of `columns` as answers have it."""

    def kind(column: Column) -> Schema:
        plain = _COLUMN_TYPES[column.type] | {"description": column.meaning}
        return plain | ({"type": [plain["type"], "null"]} if column.nullable else {})

    names = [c.name for c in columns]
    return {"type": "object", "properties": {c.name: kind(c) for c in columns}, "required": names}


IssueRow = Annotated[
    dict[str, Any], Meta(extra_json_schema=_row(tuple(c for c in ISSUES if c.name != "batch_id")))
]
RunDocument = Annotated[
    dict[str, Any],
    Meta(description="a run as a run file would hold it, with its counts, source and fingerprints"),
]


class OperationResult(Struct, forbid_unknown_fields=True):
    """What was done, where, when, and to how many records."""

    operation: str
    storage_backend_used: str
    timestamp: Moment
    records_affected: Annotated[Count, Meta(description="runs for store and delete, issues for reads")]
    selection: Annotated[
        list[Attempt] | UnsetType,
        Meta(description="which backends were tried, in their order; there where several could be used"),
    ] = UNSET


class RunOutcome(Struct, forbid_unknown_fields=True):
    """What became of one run: a rejected one has a reason, the others have an id."""

    status: Literal["stored", "duplicate", "rejected"]
    validation_run_id: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class Stored(Struct, forbid_unknown_fields=True):
    """`issues_data` of store_issues; `runs` in the order they came in."""

    runs_stored: Count
    duplicates: Count
    runs_rejected: Count
    issues_stored: Count
    runs: list[RunOutcome]


class IssuePage(Struct, forbid_unknown_fields=True):
    """`issues_data` of get_issues and search_issues."""

    issues: list[IssueRow]
    total_count: Annotated[Count, Meta(description="issues of the runs that plugin, dates and run id select")]
    filtered_count: Annotated[Count, Meta(description="those that pass every filter")]
    returned_count: Annotated[Count, Meta(description="those on this page")]
    limit: Count
    offset: Count


class HistoryRow(Struct):
    """One run of the history; `new`, `fixed` and `unchanged` against that plugin's run before it."""

    validation_run_id: str
    timestamp: Moment
    target_plugin: str
    pipeline_score: int | None
    total_issues: Count
    critical_issues: Count
    high_issues: Count
    medium_issues: Count
    low_issues: Count
    new: Count
    fixed: Count
    unchanged: Count


class History(Struct, forbid_unknown_fields=True):
    """`issues_data` of get_issue_history, oldest run first."""

    history: list[HistoryRow]


class Deleted(Struct, forbid_unknown_fields=True):
    """`issues_data` of delete_issues: what went, or after `query.dry_run` what would go."""

    runs_deleted: Count
    issues_deleted: Count
    dry_run: bool
    audit_id: Annotated[str | None, Meta(description="the deletion's record; null where nothing went")]


class Exported(Struct):
    """`issues_data` of export_issues."""

    export_path: str
    export_format: str
    exported_count: Count


class Figures(Struct):
    """Counts of issues, and the average of the runs' scores."""

    total_issues: Count
    critical_issues: Count
    high_issues: Count
    medium_issues: Count
    low_issues: Count
    issues_by_category: dict[str, Count]
    average_score: float | None
    latest_validation_run: str | None


class IssueSummary(Figures):
    """The newest run's figures, and under `overall` those of everything that the query selects."""

    overall: Figures


class Backend(Struct, forbid_unknown_fields=True):
    """How one configured storage is; `latency_ms` is that of writing, reading back and removing a file."""

    name: str
    active: bool
    priority: int
    url: str
    healthy: bool
    latency_ms: float
    last_error: str | None
    last_failure: Moment | None
    last_success: Moment | None
    breaker: Annotated[State, Meta(description="open: it is left alone for its health_check_interval")]
    owed_batches: Annotated[Count, Meta(description="what it is owed and others hold")]
    owed_since: Moment | None
    free_bytes: Annotated[Count | None, Meta(description="room that is left, where that is known")]
    held_batches: Annotated[Count, Meta(description="what it holds for others")]


class HealthStatus(Struct, forbid_unknown_fields=True):
    """The storage in use, every configured one, and how the operations of this process have fared."""

    storage_healthy: bool
    storage_backend: str
    verdict: Annotated[
        Literal["healthy", "degraded", "down"], Meta(description="degraded: the preferred backend is away")
    ]
    last_successful_operation: Moment | None
    error_count: Count
    owed_batches: Annotated[Count, Meta(description="entries of the ledger; `issuelake reconcile` pays them")]
    backends: list[Backend]


class Answer(Struct, forbid_unknown_fields=True):
    """What every operation answers with."""

    success: bool
    operation_result: OperationResult
    error: Annotated[str, Meta(description="one sentence; there when success is false")] | UnsetType = UNSET
    issues_data: Any = UNSET
    issue_summary: IssueSummary | UnsetType = UNSET
    health_status: HealthStatus | UnsetType = UNSET


ISSUES_DATA: dict[str, Any] = {
    "store_issues": Stored,
    "get_issues": IssuePage,
    "get_latest_issues": RunDocument | None,
    "search_issues": IssuePage,
    "get_issue_history": History,
    "delete_issues": Deleted,
    "export_issues": Exported,
}
"""What `issues_data` holds, by operation."""


def input_schema() -> Schema:
    """What `process` and `issuelake run` take."""
    (document, query, custom, *backends), definitions = _components(
        [Document, Query, CustomBackend, *map(settings_of, BACKENDS)]
    )
    properties = definitions["Document"]["properties"]
    run = {k: v for k, v in json_schema().items() if k != "$schema"}
    definitions["Run"] = run
    runs = [{"$ref": "#/$defs/Run"}, {"type": "array", "items": {"$ref": "#/$defs/Run"}}, {"type": "null"}]
    properties["issues"] |= {"anyOf": runs}
    properties["query"] |= query
    known = [AUTO, *BACKENDS, None]
    properties["storage_backend"] = {
        "anyOf": [{"enum": known}, {"type": "string", "description": f"a name under {CUSTOM_BACKENDS}"}],
        **_kept(properties["storage_backend"]),
    }
    properties["storage_config"] = {
        "type": ["object", "null"],
        "properties": dict(zip(BACKENDS, backends, strict=True))
        | {CUSTOM_BACKENDS: {"type": "object", "additionalProperties": custom}},
        "additionalProperties": False,
        **_kept(properties["storage_config"]),
    }
    formats = properties["export_format"]
    properties["export_format"] = {"enum": [*FORMATS, None], **_kept(formats)}
    asked = definitions["Query"]["properties"]
    asked["limit"] |= {"minimum": 1, "maximum": MAX_LIMIT}
    asked["offset"] |= {"minimum": 0}
    asked["severity"] |= {"items": {"enum": list(SEVERITIES)}}
    asked["min_severity"] = {"enum": [*SEVERITIES, None], "default": None}
    return _whole("issuelake operation document", document, definitions)


def output_schema() -> Schema:
    """What they answer."""
    kinds = dict.fromkeys(ISSUES_DATA.values())
    (answer, *data), definitions = _components([Answer, *kinds])
    by_kind = dict(zip(kinds, data, strict=True))
    definitions["Answer"]["properties"]["issues_data"] = {"anyOf": list(by_kind.values())}
    definitions["Answer"]["allOf"] = [
        {
            "if": {
                "properties": {
                    "success": {"const": True},
                    "operation_result": {"properties": {"operation": {"const": operation}}},
                }
            },
            "then": {"required": ["issues_data"], "properties": {"issues_data": by_kind[kind]}},
        }
        for operation, kind in ISSUES_DATA.items()
    ] + [{"if": {"properties": {"success": {"const": False}}}, "then": {"required": ["error"]}}]
    return _whole("issuelake answer", answer, definitions)


def _components(types: list[Any]) -> tuple[tuple[Schema, ...], dict[str, Schema]]:
    return msgspec.json.schema_components(types, ref_template=_REFERENCE)


def _kept(schema: Schema) -> Schema:
    return {key: schema[key] for key in ("description", "default") if key in schema}


def _whole(title: str, reference: Schema, definitions: dict[str, Schema]) -> Schema:
    """One schema that stands by itself; what it is about stands at its top."""
    top = definitions.pop(reference["$ref"].rpartition("/")[2])
    schema = json_schema()["$schema"]
    return {"$schema": schema, **top, "title": title, "$defs": dict(sorted(definitions.items()))}
