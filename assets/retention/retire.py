"""Letting runs go: first what stays of each is written, then they are deleted, as by anybody.

A deletion hides them at once; the bytes go with the next compaction after its grace period. Whatever
is interrupted leaves runs that are stored, and outlines that do not count, and is simply done again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from assets.problems.columns import rule_in
from assets.retention import columns
from assets.retention.choosing import Leaving
from assets.retention.outlines import path_of
from resources.backend import BOTH, ISSUES, RUN_IDS_AT_MOST, RUNS, Backend, Pushdown
from resources.lake.layout import content_name
from resources.lake.marks import TICK, Deletion
from resources.schema import Column, arrow_schema
from resources.session import sql

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

ACTOR = "retention"

RUNS_AT_ONCE = 50_000
"""So many runs go in one deletion, of which every reader reads the record."""

ISSUES_AT_ONCE = 100_000
"""So many issues are outlined at a time, or those of one run."""

_SCOPE = "CASE WHEN contains(metadata, '\"scope\"') THEN json_object('scope', metadata->'$.scope') END"
_COLUMNS = {
    RUNS: ", ".join(f"{_SCOPE} AS metadata" if c.name == "metadata" else f'"{c.name}"' for c in columns.RUNS),
    ISSUES: ", ".join(
        {"rule": f"{rule_in('details')} AS rule", "severity": "severity::VARCHAR AS severity"}.get(
            c.name, f'"{c.name}"'
        )
        for c in columns.ISSUES
    ),
}


def retire(lake: Backend, runs: Sequence[Leaving]) -> list[str]:
    """Let `runs` go; the ids of the deletions that say so. Durable on return. Raises `StorageError`."""
    return [_retire(lake, runs[n : n + RUNS_AT_ONCE]) for n in range(0, len(runs), RUNS_AT_ONCE)]


def _retire(lake: Backend, runs: Sequence[Leaving]) -> str:
    audit_id = uuid4().hex
    at = datetime.now(UTC)  # what is stored from now on is newer than what goes
    moments: dict[str, datetime] = {}
    for portion in _portions(runs):
        moments |= _outline(lake, portion, audit_id, at)
    gone = [run for run in runs if run.validation_run_id in moments]
    if gone:
        rules = Counter(run.rule for run in gone)
        issues = sum(run.issues for run in gone)
        lake.record(Deletion(audit_id, at, ACTOR, dict(rules), len(gone), issues), moments)
    return audit_id


def _outline(lake: Backend, runs: Sequence[Leaving], audit_id: str, at: datetime) -> dict[str, datetime]:
    """Write what stays of `runs`; of those that are still there, up to when their copies are to be hidden."""
    ids = [run.validation_run_id for run in runs]
    first, last = min(run.timestamp for run in runs).date(), max(run.timestamp for run in runs).date()

    def read(connection: duckdb.DuckDBPyConnection) -> tuple[dict[str, datetime], pa.Table, pa.Table]:
        rows = connection.execute(sql("resources", "stored_at_of_runs"), [ids]).fetchall()
        # The clock that a run was stored by may have been ahead of this one.
        moments = {run_id: max(at, stored_at + TICK) for run_id, stored_at in rows}
        given = {"ids": list(moments), "audit_id": audit_id}
        text = {
            table: sql("assets.retention", f"outlined_{table}").format(columns=_COLUMNS[table])
            for table in BOTH
        }
        outlines = connection.sql(text[RUNS], params=given | {"moments": list(moments.values())})
        issues = connection.sql(text[ISSUES], params=given)
        return moments, outlines.to_arrow_table(), issues.to_arrow_table()

    moments, outlines, issues = lake.reading(read, first, last, pushdown=Pushdown(run_ids=tuple(ids)))
    if moments:
        name = content_name([audit_id, *moments])
        _publish(lake, path_of(ISSUES, first, last, name), issues, columns.ISSUES)
        _publish(lake, path_of(RUNS, first, last, name), outlines, columns.RUNS)
    return moments


def _publish(lake: Backend, path: str, table: pa.Table, wanted: tuple[Column, ...]) -> None:
    from resources.lake.parquet import encode

    extra = (columns.RETIRED_AT,) if wanted is columns.RUNS else ()
    schema = arrow_schema((*wanted, *extra, columns.RETIRED_BY))
    lake.files.publish(path, encode(table.cast(schema), key=lake.files.key))


def _portions(runs: Sequence[Leaving]) -> Iterator[list[Leaving]]:
    portion: list[Leaving] = []
    issues = 0
    for run in runs:
        if portion and (len(portion) == RUN_IDS_AT_MOST or issues + run.issues > ISSUES_AT_ONCE):
            yield portion
            portion, issues = [], 0
        portion.append(run)
        issues += run.issues
    if portion:
        yield portion
