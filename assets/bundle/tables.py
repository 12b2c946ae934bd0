"""The tables of a bundle: plain Parquet, and a DuckDB file with views over it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from assets.exports.selection import Selection, copy_parquet
from assets.problems import triage
from assets.problems.columns import LIVES, PROBLEMS
from assets.problems.relation import Asked, reading_problems
from assets.summary import summarised
from resources.backend import Backend
from resources.errors import QueryError
from resources.schema import ISSUES, RUN_DATE, RUNS, SEVERITIES, Column
from resources.session import connect, literal, sql

if TYPE_CHECKING:
    import duckdb

DATA = "data"

DECISIONS = (
    Column("fingerprint", "string", False, "the problem"),
    Column("decision", "string", False, "accepted or false_positive"),
    Column("decided_at", "timestamp", False, "when"),
    Column("actor", "string", False, "by whom"),
    Column("reason", "string", False, "why"),
    Column("until", "date", True, "the last day on which it holds; null: for good"),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "runs": tuple(c for c in (*RUNS, RUN_DATE) if c.name != "batch_id"),
    "issues": tuple(c for c in (*ISSUES, RUN_DATE) if c.name != "batch_id"),
    "problems": PROBLEMS,
    "problem_lives": LIVES,
    "triage_decisions": DECISIONS,
}
"""What each Parquet file holds; the batch is how a lake keeps a run, and nobody else's."""

SUMMARY = "daily_summary"

_STORAGE_VERSION = "v1.0.0"
"""Of the DuckDB file: what every DuckDB since 1.0 opens."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows of each table, and when the oldest and the newest run happened."""

    rows: dict[str, int]
    oldest: datetime
    newest: datetime


def write_selected(selection: Selection, folder: Path) -> Counts:
    """Write the runs and issues that are selected to `folder`. Raises `QueryError` where there is no run."""
    compiled = selection.compiled
    whole = replace(selection, columns=tuple(c.name for c in TABLES["issues"]))
    issues = whole.copy_parquet(folder / "issues.parquet")
    select = sql("assets.bundle", "runs").format(columns=_columns("runs"), where=compiled.runs_where)
    runs = copy_parquet(
        selection.connection, select, compiled.runs_parameters, len(TABLES["runs"]), folder / "runs.parquet"
    )
    span = sql("assets.bundle", "span").format(where=compiled.runs_where)
    [(oldest, newest)] = selection.connection.execute(span, compiled.runs_parameters).fetchall()
    if newest is None:
        raise QueryError("Nothing is selected: no run is of this plugin, id and dates.")
    return Counts({"runs": runs, "issues": issues}, oldest.astimezone(UTC), newest.astimezone(UTC))


def moment_of(lake: Backend, newest: datetime, until: datetime | None) -> datetime:
    """As of when problems are told: `until`, or else the last that is known, a run or a decision.

    Not the moment of writing: the same lake and selection are to give the same bundle.
    """
    if until is not None:
        return until
    return max([newest, *(decision.decided_at for decision in triage.made(lake.files))]).astimezone(UTC)


def write_problems(lake: Backend, folder: Path, asked: Asked) -> dict[str, int]:
    """Write the problems that the issues in `folder` are part of, and what belongs to them, beside them."""
    issues = literal(str(folder / "issues.parquet"))

    def work(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
        counts = {}
        for name in ("problems", "problem_lives", "triage_decisions"):
            select = sql("assets.bundle", name).format(columns=_columns(name), issues=issues)
            counts[name] = copy_parquet(connection, select, [], len(TABLES[name]), folder / f"{name}.parquet")
        return counts

    return reading_problems(lake, work, asked)


def write_database(folder: Path, name: str) -> None:
    """Write the DuckDB file `name` to `folder`, with a view for each table in the folder `DATA` there.

    The views name their files from wherever DuckDB was started, or from its `file_search_path`.
    """
    with connect() as connection:
        connection.execute(f"SET file_search_path = {literal(str(folder))}")
        connection.execute(
            f"ATTACH {literal(str(folder / name))} AS bundle (STORAGE_VERSION '{_STORAGE_VERSION}')"
        )
        connection.execute("USE bundle")
        connection.execute(f"CREATE TYPE severity AS ENUM ({', '.join(map(literal, SEVERITIES))})")
        for table, columns in TABLES.items():
            ranked = " REPLACE (severity::severity AS severity)" if _has_severity(columns) else ""
            connection.execute(
                f"CREATE VIEW {table} AS SELECT *{ranked} FROM read_parquet('{DATA}/{table}.parquet')"
            )
        connection.execute(f"CREATE VIEW {SUMMARY} AS {summarised('runs')}")
        connection.execute("USE memory")
        connection.execute("DETACH bundle")


def _has_severity(columns: tuple[Column, ...]) -> bool:
    return any(column.name == "severity" for column in columns)


def _columns(table: str) -> str:
    """The columns of `table`, as every engine has them: what is ordered here is a text elsewhere."""
    return ", ".join(
        "severity::VARCHAR AS severity" if c.name == "severity" else f'"{c.name}"' for c in TABLES[table]
    )
