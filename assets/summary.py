"""The daily summary: one small table per day, a row per plugin, computed by SQL from the day's runs.

    daily_summary/run_date=2025-08-29/<name>.parquet

The name says which rows of the day, under which SQL, the summary is of. So whether it is up to
date is known from a listing, and making it twice is making it once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from assets.days import (
    LOOKED_AT,
    DayVersion,
    Disagreement,
    disagreements_seen,
    versions_of_all,
    versions_seen,
)
from assets.retention import outlines
from assets.retention.outlines import ALL_RUNS
from resources.backend import Backend
from resources.errors import IssuelakeError
from resources.lake import layout
from resources.session import sql

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

DAILY_SUMMARY = "daily_summary"
_NAMED = 5


class CountsDisagree(IssuelakeError):
    """The runs of a day count other issues than its table of issues holds."""

    def __init__(self, day: date, found: list[Disagreement]) -> None:
        named = "; ".join(map(str, found[:_NAMED])) + ("; …" if len(found) > _NAMED else "")
        super().__init__(
            f"{day} is not summarised: {len(found)} runs count other issues than are stored ({named})."
            " Delete these runs and ingest their files again."
        )
        self.found = found


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of one day: `table` has the columns of `sql/daily_summary.sql` but `run_date`."""

    day: date
    table: pa.Table
    path: str | None
    """Where it is in the lake; None for a day without runs."""
    size: int
    """Bytes."""


def summarise(lake: Backend, day: date) -> Summary:
    """Write the summary of `day` and remove the older ones; durable on return.

    A day without runs has none. Raises `CountsDisagree`, and nothing is written or removed;
    `StorageError`.
    """

    def read(connection: duckdb.DuckDBPyConnection) -> tuple[list[Disagreement], list[DayVersion], pa.Table]:
        table = connection.sql(summarised(ALL_RUNS)).to_arrow_table()
        return disagreements_seen(connection, [day]), versions_seen(connection, [day], ALL_RUNS), table

    while True:
        found, version, table = outlines.reading(lake, read, day, day, pushdown=LOOKED_AT)
        if found:
            raise CountsDisagree(day, found)
        table = table.drop_columns("run_date")
        path = _path(day, version[0].version) if version else None
        size = _publish(lake, path, table) if path is not None else 0
        for entry in lake.files.list_many([layout.day_folder(DAILY_SUMMARY, day)]):
            if entry.path != path:
                lake.files.remove(entry.path)
        # Rows may have come meanwhile, and somebody's summary of them been removed just now.
        if versions_of_all(lake, [day]) == version:
            return Summary(day, table, path, size)


def outdated(lake: Backend) -> list[date]:
    """The days whose summary is missing or of other rows than they have now, oldest first.

    Raises `StorageError`.
    """
    days = outlines.days(lake)
    there = {entry.path for entry in lake.files.find(DAILY_SUMMARY)}
    wanted = {_path(v.day, v.version) for v in versions_of_all(lake, days)}
    return sorted(_days(wanted - there) | _days(there - wanted))


def summarised(runs: str) -> str:
    """The SELECT of `sql/daily_summary.sql` over the relation `runs`."""
    return sql("assets", "daily_summary").format(runs=runs)


def _publish(lake: Backend, path: str, table: pa.Table) -> int:
    """Write `table`; how many bytes it takes."""
    from resources.lake.parquet import encode

    data = encode(table, key=lake.files.key)
    lake.files.publish(path, data)
    return len(data)


def _path(day: date, version: str) -> str:
    return layout.data_path(
        DAILY_SUMMARY, day, layout.content_name([sql("assets", "daily_summary"), version])
    )


def _days(paths: Iterable[str]) -> set[date]:
    folders = (path.rpartition("/")[0] for path in paths)
    return {date.fromisoformat(folder.rpartition("=")[2]) for folder in folders if "=" in folder}
