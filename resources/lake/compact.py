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
from resources.lake.parquet import ROW_GROUP_ROWS, encode_batches, open_file
from resources.lake.read import reading
from resources.schema import ISSUES, RUNS, Column, arrow_schema
from resources.session import sql

if TYPE_CHECKING:
    import duckdb

    from resources.encryption import Key

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
    name: str | None = None
    """Of the one file that holds the day as it was, whatever lies beside it; None where there is none."""


def compact_day(files: Files, day: date, grace: timedelta = DEFAULT_GRACE) -> Compacted:
    """Bring `day` to one sorted file, and remove what has been superseded for `grace`.

    The rows that readers see do not change. Raises `StorageError`; whatever was done by then is
    harmless, and the next call goes on from there.
    """
    return layout.relisting(lambda: _compact_day(files, day, grace))


def _compact_day(files: Files, day: date, grace: timedelta) -> Compacted:
    before = layout.data_files(files, [day])
    (name, runs, issues), settled = reading(files, lambda c: (_day_as_name(c), _settled(c)), day, day)
    held = any(f.name == name for f in before)
    if runs and not held and _compact(files, before, runs):
        name, held = before[0].name, True
    written = runs > 0 and not held
    if written:
        tables = reading(files, lambda connection: _sorted_files(connection, name, files.key), day, day)
        written = tables is not None
        if tables is not None:
            files.publish(layout.data_path(layout.ISSUES, day, name), tables[1], renew=True)
            files.publish(layout.data_path(layout.RUNS, day, name), tables[0])
    removed = 0
    if before and (written or len(before) > 1 or runs == 0):
        removed = _remove_superseded(files, before, name if runs else None, settled, grace)
    _remove_orphans(files, day)
    after = len(before) + written - removed
    return Compacted(day, len(before), after, runs, issues, written, name if written or held else None)


def _day_as_name(connection: duckdb.DuckDBPyConnection) -> tuple[str, int, int]:
    [row] = connection.execute(sql("resources", "compact_name")).fetchall()
    name, runs, issues = row
    return name, runs, issues


def _settled(connection: duckdb.DuckDBPyConnection) -> float:
    [(moment,)] = connection.execute(
        sql("resources", "settled").format(losers=sql("resources", "losers"))
    ).fetchall()
    return float(moment or 0)


def _compact(files: Files, before: list[DataFile], runs: int) -> bool:
    """Whether the day is one file already, all of whose runs count."""
    if len(before) != 1:
        return False
    path = before[0].runs_path

    def rows() -> int:
        [name] = files.paths([path])
        return int(open_file(name, key=files.key).metadata.num_rows)

    return files.using(rows) == runs


def _sorted_files(
    connection: duckdb.DuckDBPyConnection, name: str, key: Key | None
) -> tuple[bytes, bytes] | None:
    """The day's runs and issues as files, or None when the day is not what `name` says any more."""
    if _day_as_name(connection)[0] != name:
        return None
    runs = _sorted_file(connection, "compact_runs", RUNS, key)
    return runs, _sorted_file(connection, "compact_issues", ISSUES, key)


def _sorted_file(
    connection: duckdb.DuckDBPyConnection, query: str, columns: tuple[Column, ...], key: Key | None
) -> bytes:
    schema = arrow_schema(columns)
    names = ", ".join(schema.names)
    stream = connection.sql(sql("resources", query).format(columns=names)).to_arrow_reader(ROW_GROUP_ROWS)
    tables = (pa.Table.from_batches([batch]).cast(schema) for batch in stream)
    return encode_batches(schema, tables, key=key)


def _remove_superseded(
    files: Files, listed: list[DataFile], keeper: str | None, settled: float, grace: timedelta
) -> int:
    """Remove the `listed` files but the keeper, once what supersedes them has been there for `grace`.

    That is the keeper, and what else made copies of the day lose by the moment `settled`: a
    deletion, or a copy on another day, which a reader may have looked at before it came. Without
    a keeper nothing in the day counts any more.
    """
    day = listed[0].day
    superseded = [f for f in listed if f.name != keeper]
    if keeper is not None:
        twins = {f.name for f in layout.data_files(files, [day], layout.ISSUES)}
        found = [f.modified for f in layout.data_files(files, [day]) if f.name == keeper]
        if not found or keeper not in twins:
            return 0
        settled = max(settled, found[0])
    if grace and time.time() - settled < grace.total_seconds():
        return 0
    _remove(files, superseded)
    # A compaction that was held up for the whole grace period may have published one once more.
    names = {f.name for f in superseded}
    _remove(files, [f for f in layout.data_files(files, [day]) if f.name in names])
    return len(superseded)


def _remove(files: Files, data_files: list[DataFile]) -> None:
    for data_file in data_files:
        files.remove(data_file.runs_path)
        files.remove(data_file.issues_path)


def _remove_orphans(files: Files, day: date) -> None:
    """Remove issues files whose runs file never came."""
    issues = layout.data_files(files, [day], layout.ISSUES)
    old = [f for f in issues if time.time() - f.modified > ORPHAN_AGE.total_seconds()]
    if not old:
        return
    committed = {f.name for f in layout.data_files(files, [day])}
    for data_file in old:
        if data_file.name not in committed:
            data = files.read(data_file.issues_path)
            files.remove(data_file.issues_path)
            if any(f.name == data_file.name for f in layout.data_files(files, [day])):
                files.publish(data_file.issues_path, data)  # its runs file came just now after all
