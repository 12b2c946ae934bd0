"""Kept runs as the two tables of a DuckDB connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from resources import fingerprint, schema
from resources.backend import ISSUES, RUNS
from resources.backends.documents.model import Kept
from resources.contract import Issue
from resources.lake.read import duckdb_type
from resources.schema import RUN_DATE, SEVERITIES, arrow_schema

if TYPE_CHECKING:
    import duckdb

_COLUMNS = {RUNS: (*schema.RUNS, RUN_DATE), ISSUES: (*schema.ISSUES, RUN_DATE)}
_AT_ONCE = 512
"""So many runs become rows at a time."""

_encode = msgspec.json.Encoder(order="sorted").encode


def define(connection: duckdb.DuckDBPyConnection, kept: Sequence[Kept], tables: Sequence[str]) -> None:
    """Create the temporary tables `tables` with the rows of `kept` in `connection`."""
    for table in tables:
        columns = ", ".join(f"{c.name} {duckdb_type(c)}" for c in _COLUMNS[table])
        connection.execute(f"CREATE TEMP TABLE {table} ({columns})")
        rows_of = _runs if table == RUNS else _issues
        for start in range(0, len(kept), _AT_ONCE):
            rows = [row for one in kept[start : start + _AT_ONCE] for row in rows_of(one)]
            connection.register("arrived", pa.Table.from_pylist(rows, arrow_schema(_COLUMNS[table])))
            connection.execute(f"INSERT INTO {table} BY NAME FROM arrived")
            connection.unregister("arrived")


def _runs(kept: Kept) -> Iterator[dict[str, Any]]:
    counts: Counter[str] = Counter(issue.severity for issue in kept.issues)
    yield _of_run(kept) | {
        "change_type": kept.run.change_type,
        "pipeline_score": kept.run.pipeline_score,
        "metadata": kept.metadata,
        **{f"{severity}_issues": counts[severity] for severity in SEVERITIES},
        "content_hash": kept.stamp.content_hash,
        "source": kept.stamp.source,
        "stored_at": kept.stored_at,
        "extra": kept.extra,
    }


def _issues(kept: Kept) -> Iterator[dict[str, Any]]:
    shared = _of_run(kept)
    ordinals: Counter[bytes] = Counter()
    for place, issue in enumerate(kept.issues):
        identity = _identity(kept.plugin, issue)
        yield shared | {
            "issue_index": place,
            "category": issue.category,
            "severity": issue.severity,
            "description": issue.description,
            "file_path": issue.file_path,
            "recommendation": issue.recommendation,
            "details": None if issue.details is None else _encode(issue.details).decode(),
            "fingerprint": fingerprint.ordinal_digest(fingerprint.digest(identity), ordinals[identity]),
            "extra": _encode(kept.extras[place]).decode() if place in kept.extras else None,
        }
        ordinals[identity] += 1


def _of_run(kept: Kept) -> dict[str, Any]:
    """What a run and its issues have in common."""
    return {
        "validation_run_id": kept.run_id,
        "timestamp": kept.timestamp,
        "target_plugin": kept.plugin,
        "batch_id": kept.batch_id,
        "run_date": kept.day,
    }


def _identity(plugin: str, issue: Issue) -> bytes:
    details = issue.details or {}
    return fingerprint.identity(
        plugin,
        issue.category,
        fingerprint.rule_of(details),
        issue.file_path,
        issue.description,
        fingerprint.stated(details),
    )
