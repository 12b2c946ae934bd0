"""The figures of a report, read from what the trends and the problems say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, TypeVar

from assets.problems import relation
from assets.problems.update import try_to_keep
from assets.report.model import (
    AGES,
    MOST_ROWS,
    SOON,
    TOP,
    Age,
    Asked,
    Day,
    Figures,
    Flow,
    Named,
    Standing,
    Tops,
)
from assets.trends import figures as trends
from assets.trends import model as trend
from resources.backend import Backend
from resources.schema import SEVERITIES
from resources.session import sql

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

T = TypeVar("T")

TITLES = {"target_plugin": "Plugins", "category": "Categories", "rule": "Rules", "file_path": "Files"}
"""What is listed by its open problems."""


def read(lake: Backend, asked: Asked) -> Figures:
    """All figures of what is asked for. Raises `StorageError`."""
    try_to_keep(lake)
    before_first, before_last = asked.before
    begin = min(asked.drawn_from, before_first)
    daily = trends.periods(lake, trend.Asked(begin, asked.last, asked.plugin))
    daily = [period for period in daily if period.target_plugin is None]
    drawn = [period for period in daily if period.period >= asked.drawn_from]
    if asked.grain is not trend.Grain.DAY:
        longer = trend.Asked(asked.drawn_from, asked.last, asked.plugin, asked.grain)
        drawn = [period for period in trends.periods(lake, longer) if period.target_plugin is None]
    summed = trend.Asked(min(asked.year_from, before_first), asked.last, asked.plugin)
    summary = trends.daily_summary(lake, summed)

    def now(connection: duckdb.DuckDBPyConnection) -> tuple[list[Standing], list[Age], list[Tops], pa.Table]:
        return _standing(connection), _ages(connection), _tops(connection, asked), _rows(connection)

    standing, ages, tops, rows = _over_open(lake, asked, asked.as_of, now)
    return Figures(
        asked,
        flow=_flow(daily, summary, asked.first, asked.last),
        flow_before=_flow(daily, summary, before_first, before_last),
        standing=standing,
        standing_before=_over_open(lake, asked, datetime.combine(before_last, time.max, UTC), _standing),
        periods=drawn,
        days=_days(summary, asked.year_from),
        ages=ages,
        tops=tops,
        rows=rows,
    )


def _over_open(
    lake: Backend, asked: Asked, moment: datetime, work: Callable[[duckdb.DuckDBPyConnection], T]
) -> T:
    """What `work` answers, given a connection with the table `report_open`, as of `moment`."""

    def looked_up(connection: duckdb.DuckDBPyConnection) -> T:
        text = sql("assets.report", "open_problems")
        connection.execute(f"CREATE OR REPLACE TEMP TABLE report_open AS {text}", {"plugin": asked.plugin})
        try:
            return work(connection)
        finally:
            connection.execute("DROP TABLE report_open")

    # A report is about whole days (`selection`).
    return relation.reading_problems(lake, looked_up, relation.Asked(moment, asked.sla, whole_day=True))


def _standing(connection: duckdb.DuckDBPyConnection) -> list[Standing]:
    rows = _answered(connection, "standing", soon=SOON)
    found = {row["severity"]: Standing(**row) for row in rows}
    return [found.get(severity, Standing(severity)) for severity in SEVERITIES]


def _ages(connection: duckdb.DuckDBPyConnection) -> list[Age]:
    return [Age(**row) for row in _answered(connection, "ages", bounds=list(AGES))]


def _tops(connection: duckdb.DuckDBPyConnection, asked: Asked) -> list[Tops]:
    found = []
    for column, title in TITLES.items():
        if column == "target_plugin" and asked.plugin is not None:
            continue
        rows = _answered(connection, "top", {"first": asked.first}, column=column, limit=TOP)
        names = rows[0]["names"] if rows else 0
        named = [Named(**{name: row[name] for name in row if name != "names"}) for row in rows]
        found.append(Tops(column, title, named, names))
    return found


def _rows(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    return connection.sql(sql("assets.report", "rows").format(limit=MOST_ROWS)).to_arrow_table()


def _answered(
    connection: duckdb.DuckDBPyConnection, name: str, given: dict[str, Any] | None = None, **parts: Any
) -> list[dict[str, Any]]:
    relation = connection.sql(sql("assets.report", name).format(**parts), params=given)
    rows: list[dict[str, Any]] = relation.to_arrow_table().to_pylist()
    return rows


def _flow(daily: Iterable[trend.Period], summary: pa.Table, first: date, last: date) -> Flow:
    """What happened from `first` to `last`."""
    periods = [period for period in daily if first <= period.period <= last]
    scored = [
        (row["average_score"], row["scored_runs"])
        for row in summary.select(["run_date", "average_score", "scored_runs"]).to_pylist()
        if first <= row["run_date"] <= last and row["scored_runs"]
    ]
    runs = sum(count for _, count in scored)
    return Flow(
        **{
            name: sum(getattr(period, name) for period in periods)
            for name in ("runs", "total_issues", "new", "reopened", "fixed")
        },
        average_score=sum(average * count for average, count in scored) / runs if runs else None,
    )


def _days(summary: pa.Table, first: date) -> list[Day]:
    """The days from `first` on, whichever plugins ran."""
    found: dict[date, tuple[int, int]] = {}
    for row in summary.select(["run_date", "runs", "total_issues"]).to_pylist():
        runs, issues = found.get(row["run_date"], (0, 0))
        found[row["run_date"]] = runs + row["runs"], issues + row["total_issues"]
    return [Day(day, *found[day]) for day in sorted(found) if day >= first]
