"""Compaction: a day's files become one sorted file, and the old ones go after a grace period.

Nothing needs a lock. The new file is published like any other (issues, then runs); until the old
ones are gone readers see every run twice and choose. Removal takes a file's runs first, so its
issues are never missing while its runs count. What is removed has all its counting runs in a file
that is durable and at least as old as the grace period, so that readers who listed before it
appeared have finished.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.files import Files
from resources.lake import layout
from resources.lake.layout import DataFile
from resources.lake.parquet import ROW_GROUP_ROWS, encode_batches
from resources.lake.read import reading
from resources.schema import ISSUES, RUNS, Column, arrow_schema
from resources.session import sql

if TYPE_CHECKING:
    import duckdb

DEFAULT_GRACE = timedelta(hours=1)
ORPHAN_AGE = timedelta(days=7)
"""Issues files without a runs file are left over from a crash; a writer may still be at it."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What compacting one day did."""

    day: date
    files_before: int
    files_after: int
    runs: int
    issues: int
    written: bool
    """False when the day was compact already."""


def compact_day(files: Files, day: date, grace: timedelta = DEFAULT_GRACE) -> Compacted:
    """Bring `day` to one sorted file, and remove what has been superseded for `grace`.

    The rows that readers see do not change. Raises `StorageError`; whatever was done by then is
    harmless, and the next call goes on from there.
    """
    before = layout.data_files(files, [day])
    name, runs, issues = reading(files, _day_as_name, day, day)
    written = runs > 0 and not any(f.name == name for f in before) and not _compact(files, before, runs)
    if written:
        tables = reading(files, lambda connection: _sorted_files(connection, name), day, day)
        if tables is not None:
            files.publish(layout.data_path(layout.ISSUES, day, name), tables[1], renew=True)
            files.publish(layout.data_path(layout.RUNS, day, name), tables[0])
    removed = 0
    if len(before) > 1 or runs == 0:
        removed = _remove_superseded(files, before, name if runs else None, grace)
    _remove_orphans(files, day)
    return Compacted(day, len(before), len(before) + written - removed, runs, issues, written)


def _day_as_name(connection: duckdb.DuckDBPyConnection) -> tuple[str, int, int]:
    row = connection.execute(sql("resources", "compact_name")).fetchone()
    assert row is not None  # an aggregate always has a row
    return row


def _compact(files: Files, before: list[DataFile], runs: int) -> bool:
    """Whether the day is one file already, all of whose runs count."""
    import pyarrow.parquet as pq

    if len(before) != 1:
        return False
    [name] = files.paths([before[0].runs_path])
    return bool(pq.read_metadata(name).num_rows == runs)


def _sorted_files(connection: duckdb.DuckDBPyConnection, name: str) -> tuple[bytes, bytes] | None:
    """The day's runs and issues as files, or None when the day is not what `name` says any more."""
    if _day_as_name(connection)[0] != name:
        return None
    return _sorted_file(connection, "compact_runs", RUNS), _sorted_file(connection, "compact_issues", ISSUES)


def _sorted_file(connection: duckdb.DuckDBPyConnection, query: str, columns: tuple[Column, ...]) -> bytes:
    schema = arrow_schema(columns)
    names = ", ".join(schema.names)
    stream = connection.sql(sql("resources", query).format(columns=names)).to_arrow_reader(ROW_GROUP_ROWS)
    return encode_batches(schema, (pa.Table.from_batches([batch]).cast(schema) for batch in stream))


def _remove_superseded(files: Files, listed: list[DataFile], keeper: str | None, grace: timedelta) -> int:
    """Remove the `listed` files but the keeper, once what supersedes them has been there for `grace`.

    Without a keeper nothing in the day counts any more: what made it so is on record already, and
    the files' own age is what readers that still have them open go by.
    """
    now = layout.data_files(files, [listed[0].day]) if listed else []
    if keeper is None:
        newest = max((f.modified for f in listed), default=0.0)
    else:
        found = [f.modified for f in now if f.name == keeper]
        if not found:
            return 0
        newest = found[0]
    if time.time() - newest < grace.total_seconds():
        return 0
    removed = 0
    for data_file in listed:
        if data_file.name != keeper:
            files.remove(data_file.runs_path)
            files.remove(data_file.issues_path)
            removed += 1
    return removed


def _remove_orphans(files: Files, day: date) -> None:
    """Remove issues files whose runs file never came."""
    issues = layout.data_files(files, [day], layout.ISSUES)
    committed = {f.name for f in layout.data_files(files, [day])}
    for data_file in issues:
        old = time.time() - data_file.modified > ORPHAN_AGE.total_seconds()
        if old and data_file.name not in committed:
            files.remove(data_file.issues_path)
