"""Reading a backend together with what others hold for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from resources import schema
from resources.backend import BOTH, COUNTED, ISSUES, RUN_IDS_AT_MOST, RUNS, Backend, Pushdown
from resources.lake.read import duckdb_type
from resources.session import sql

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_COLUMNS = {RUNS: (*schema.RUNS, schema.RUN_DATE), ISSUES: (*schema.ISSUES, schema.RUN_DATE)}


@dataclass(frozen=True, slots=True)
class Held:
    """What a backend holds of runs that are owed.

    `moments` has all of them, with the moment (UTC) at which they were entered; `runs` and `issues`
    have the rows that a reader wants.
    """

    moments: Mapping[str, datetime]
    runs: pa.Table
    issues: pa.Table


def held(
    backend: Backend,
    moments: Mapping[str, datetime],
    first: date | None,
    last: date | None,
    pushdown: Pushdown | None,
) -> Held:
    """What `backend` has of the runs of `moments` on the days. Raises `StorageError`."""
    statement = sql("resources", "rows_of_runs")
    if len(moments) <= RUN_IDS_AT_MOST:
        pushdown = replace(pushdown or Pushdown(), run_ids=tuple(moments))

    def fetch(connection: duckdb.DuckDBPyConnection) -> Held:
        tables = [
            connection.sql(
                statement.format(table=table, columns=_listed(table, "severity::VARCHAR")),
                params=[sorted(moments)],
            ).to_arrow_table()
            for table in BOTH
        ]
        return Held(moments, *tables)

    return backend.reading(fetch, first, last, BOTH, pushdown)


def unite(
    connection: duckdb.DuckDBPyConnection,
    parts: Sequence[Held],
    deletions: Mapping[str, datetime],
) -> None:
    """Put `parts` into the relations `runs` and `issues` of `connection`, without what `deletions` say.

    Of several copies of a run the one stored last counts. A run that is owed, but not among the rows
    that a part has, has moved out of what the reader looks at, so the earlier copy does not count.
    """
    connection.execute(sql("resources", "owed_tables"))
    for number, part in enumerate(parts):
        owed = [number, list(part.moments), list(part.moments.values())]
        connection.execute("INSERT INTO owed_ids SELECT $1, unnest($2), unnest($3)", owed)
    gone = [list(deletions), list(deletions.values())]
    connection.execute("INSERT INTO owed_deletions SELECT unnest($1), unnest($2)", gone)
    for table in BOTH:
        defined = ", ".join(f'"{c.name}" {duckdb_type(c)}' for c in _COLUMNS[table])
        connection.execute(f"CREATE TEMP TABLE {table}_owed ({defined}, part INTEGER)")
        for number, part in enumerate(parts):
            connection.register("owed_part", part.runs if table == RUNS else part.issues)
            connection.execute(f"INSERT INTO {table}_owed BY NAME SELECT *, {number} AS part FROM owed_part")
            connection.unregister("owed_part")
        _rename(connection, table)
    connection.execute(sql("resources", "owed_losers"))
    for table in BOTH:
        columns = _listed(table, '"severity"')
        connection.execute(
            f"CREATE TEMP VIEW {table} AS {sql('resources', 'united').format(table=table, columns=columns)}"
        )


def without_limits(pushdown: Pushdown | None) -> Pushdown | None:
    """`pushdown`, for a read after which rows may be left out or added: all of each row, and all rows."""
    return None if pushdown is None else replace(pushdown, columns=None, newest=False, limit=None)


def count(connection: duckdb.DuckDBPyConnection, pushdown: Pushdown) -> None:
    """Create the relation `COUNTED` out of `issues`, which the backend has not counted itself."""
    of_runs = {
        "target_plugin = ?": pushdown.plugin,
        "validation_run_id = ?": pushdown.run_id,
        '"timestamp" >= ?': pushdown.since,
        '"timestamp" <= ?': pushdown.until,
    }
    of_issues = {
        "list_contains(?, severity::VARCHAR)": pushdown.severities and list(pushdown.severities),
        "list_contains(?, category)": pushdown.categories and list(pushdown.categories),
        "fingerprint = ?": pushdown.fingerprint,
    }
    where = {condition: value for condition, value in of_runs.items() if value is not None}
    more = {condition: value for condition, value in of_issues.items() if value is not None}
    statement = sql("resources", "counted").format(
        where=" AND ".join(where) or "true", filter=" AND ".join(more) or "true"
    )
    table = connection.sql(
        statement, params=[*where.values(), *where.values(), *more.values()]
    ).to_arrow_table()
    connection.register("counted_now", table)
    connection.execute(f"CREATE TEMP TABLE {COUNTED} AS FROM counted_now")
    connection.unregister("counted_now")


def _rename(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    [(views,)] = connection.execute(
        "SELECT count(*) FROM duckdb_views() WHERE temporary AND view_name = $1", [table]
    ).fetchall()
    connection.execute(f"ALTER {'VIEW' if views else 'TABLE'} {table} RENAME TO {table}_held")


def _listed(table: str, severity: str) -> str:
    return ", ".join(
        f'{severity} AS "severity"' if c.name == "severity" else f'"{c.name}"' for c in _COLUMNS[table]
    )
