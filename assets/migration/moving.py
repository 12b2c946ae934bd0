"""Removing from the source what has been copied."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING

from assets.days import DayVersion, versions_seen
from assets.migration.comparing import Amount, portions
from resources.backend import RUNS, Backend
from resources.lake import layout
from resources.lake.marks import Deletion
from resources.session import sql

if TYPE_CHECKING:
    import duckdb

MOVED_TO = "moved_to"
"""The key of the query under which the record of a move stands. It stays where the runs went away."""


def remove(
    source: Backend, target: str, compared: Sequence[DayVersion], kept: Collection[str], actor: str
) -> tuple[Amount, list[date]]:
    """Delete the runs of the days that are as they were `compared`, but those `kept`, copy by copy: what
    comes meanwhile stays.

    How much went to `target`, and the days that are not as they were. Raises `StorageError`.
    """
    removed = Amount()
    changed = []
    for portion in portions(compared):
        read = partial(_as_compared, portion=portion)
        rows, others = source.reading(read, portion[0].day, portion[-1].day, (RUNS,))
        changed += others
        rows = [row for row in rows if row[0] not in kept]
        if rows:
            moments = {run_id: stored_at for run_id, stored_at, _ in rows}
            issues = sum(count for *_, count in rows)
            name = layout.content_name(f"{run_id}\x1f{at}" for run_id, at in moments.items())
            query = {MOVED_TO: target}
            source.record(Deletion(name, datetime.now(UTC), actor, query, len(rows), issues), moments)
            removed.add(len(rows), issues)
    return removed, changed


def _as_compared(
    connection: duckdb.DuckDBPyConnection, portion: list[DayVersion]
) -> tuple[list[tuple[str, datetime, int]], list[date]]:
    """The runs, their moments and counts of issues, of the days that are as they were; the other days."""
    now = {day.day: day for day in versions_seen(connection, [day.day for day in portion])}
    same = [day.day for day in portion if now.get(day.day) == day]
    others = [day.day for day in portion if day.day not in same]
    return connection.execute(sql("assets", "runs_of_days"), [same]).fetchall(), others
