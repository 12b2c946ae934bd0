"""Trends, worked out: what ran from the days asked for, what became of problems from their lives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from assets.problems.relation import reading_problems
from assets.retention import outlines
from assets.retention.outlines import ALL_RUNS
from assets.summary import summarised
from assets.trends.model import FLAPPING, PERIODS, Asked, Category, Flapping, Period, Standing, Top, Trends
from resources.backend import ISSUES, RUNS, Backend, Pushdown
from resources.schema import arrow_schema
from resources.session import sql

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

TOP = 20
"""So many rules, files and flapping problems, unless more are asked for."""

_REJECTED = pa.schema(
    [pa.field("day", pa.date32()), pa.field("rejected", pa.int64()), pa.field("received", pa.int64())]
)


def read(lake: Backend, asked: Asked, top: int = TOP) -> Trends:
    """All figures of what is asked for, up to `top` rules, files and flapping problems.

    Call `assets.problems.update.try_to_keep` first: then no issue before the days asked for is read.
    Raises `StorageError`.
    """
    summary, rejected = daily_summary(lake, asked), _rejected(lake, asked)

    def work(connection: duckdb.DuckDBPyConnection) -> tuple[pa.Table, Standing]:
        return _table(connection, asked, summary, rejected), _standing(connection, asked, top)

    rows, found = _over_lives(lake, asked, work)
    every = [Period(**row) for row in rows.to_pylist()]
    plugins: dict[str, list[Period]] = {}
    for row in every:
        if row.target_plugin is not None:
            plugins.setdefault(row.target_plugin, []).append(row)
    overall = [row for row in every if row.target_plugin is None]
    return Trends(asked, overall, plugins, categories(lake, asked), found.rules, found.files, found.flapping)


def periods(lake: Backend, asked: Asked) -> list[Period]:
    """Those of all together first, then plugin by plugin; by period. Raises `StorageError`."""
    return [Period(**row) for row in table(lake, asked).to_pylist()]


def table(lake: Backend, asked: Asked) -> pa.Table:
    """The rows of `periods` with the columns `model.PERIODS`. Raises `StorageError`."""
    summary, rejected = daily_summary(lake, asked), _rejected(lake, asked)
    return _over_lives(lake, asked, lambda connection: _table(connection, asked, summary, rejected))


def daily_summary(lake: Backend, asked: Asked) -> pa.Table:
    """The rows of `sql/daily_summary.sql` of the days asked for, whatever the grain: no issue is read.

    Raises `StorageError`.
    """

    def work(connection: duckdb.DuckDBPyConnection) -> pa.Table:
        rows = f"SELECT * FROM ({summarised(ALL_RUNS)}) WHERE $1 IS NULL OR target_plugin = $1"
        return connection.sql(rows, params=[asked.plugin]).to_arrow_table()

    return outlines.reading(lake, work, asked.first, asked.last, (RUNS,), Pushdown(plugin=asked.plugin))


def categories(lake: Backend, asked: Asked) -> list[Category]:
    """Those of all together first, then plugin by plugin; by period. Raises `StorageError`."""
    statement = sql("assets", "trend_categories").format(grain=asked.grain.value)

    def work(connection: duckdb.DuckDBPyConnection) -> list[Category]:
        rows = connection.sql(statement, params={"plugin": asked.plugin}).to_arrow_table()
        return [Category(**row) for row in rows.to_pylist()]

    return outlines.reading(lake, work, asked.first, asked.last, (ISSUES,), Pushdown(plugin=asked.plugin))


def standing(lake: Backend, asked: Asked, top: int = TOP) -> Standing:
    """The `top` most frequent rules, files and flapping problems. Raises `StorageError`."""
    return _over_lives(lake, asked, lambda connection: _standing(connection, asked, top))


def _over_lives(lake: Backend, asked: Asked, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
    """What `work` answers, given a connection with the table `trend_lives`."""

    def looked_up(connection: duckdb.DuckDBPyConnection) -> T:
        text = sql("assets", "trend_lives")
        connection.execute(f"CREATE OR REPLACE TEMP TABLE trend_lives AS {text}", _given(text, asked))
        try:
            return work(connection)
        finally:
            connection.execute("DROP TABLE trend_lives")

    return reading_problems(lake, looked_up)


def _table(
    connection: duckdb.DuckDBPyConnection, asked: Asked, summary: pa.Table, rejected: pa.Table
) -> pa.Table:
    statement = sql("assets", "trend_periods").format(grain=asked.grain.value)
    connection.register("trend_days", summary)
    connection.register("trend_rejected", rejected)
    try:
        rows = connection.sql(statement, params=_given(statement, asked)).to_arrow_table()
    finally:
        connection.unregister("trend_days")
        connection.unregister("trend_rejected")
    return rows.cast(arrow_schema(PERIODS))


def _standing(connection: duckdb.DuckDBPyConnection, asked: Asked, top: int) -> Standing:
    def rows(statement: str) -> list[dict[str, Any]]:
        relation = connection.sql(statement, params=_given(statement, asked, limit=top, often=FLAPPING))
        found: list[dict[str, Any]] = relation.to_arrow_table().to_pylist()
        return found

    rules, files = (
        [Top(**row) for row in rows(sql("assets", "trend_top").format(column=column))]
        for column in ("rule", "file_path")
    )
    return Standing(rules, files, [Flapping(**row) for row in rows(sql("assets", "trend_flapping"))])


def _rejected(lake: Backend, asked: Asked) -> pa.Table:
    """How much was refused, and came in at all, on each day on which something was refused."""
    refused: dict[date, int] = {}
    if asked.plugin is None:  # nobody knows whose run it was that could not be read
        for rejected in lake.rejected():
            day = rejected.rejected_at.astimezone(UTC).date()
            if _within(day, asked):
                refused[day] = refused.get(day, 0) + 1
    stored: dict[date, int] = {}
    if refused:
        days = sorted(refused)

        def work(connection: duckdb.DuckDBPyConnection) -> dict[date, int]:
            return dict(connection.execute(sql("assets", "trend_received"), [days]).fetchall())

        stored = outlines.reading(lake, work, tables=(RUNS,))
    rows = [(day, count, count + stored.get(day, 0)) for day, count in refused.items()]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    return pa.table(columns, schema=_REJECTED)


def _within(day: date, asked: Asked) -> bool:
    return (asked.first is None or day >= asked.first) and (asked.last is None or day <= asked.last)


def _given(statement: str, asked: Asked, **more: int) -> dict[str, Any]:
    """Those parameters that `statement` has; DuckDB refuses others."""
    known = {
        "first": asked.first or date.min,
        "last": asked.last or date.max,
        "plugin": asked.plugin,
        **more,
    }
    return {name: value for name, value in known.items() if f"${name}" in statement}
