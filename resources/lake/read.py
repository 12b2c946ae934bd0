"""Reading: which files there are, which copies in them count, and both tables as DuckDB views.

Choosing costs one pass over the run ids of the selected days. Nearly always it finds nothing to
leave out, and then the views are plain `read_parquet` over the list of files. Files in which
nothing counts any more are not in the list; only files in which some copies count pay for a join.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, TypeVar

from resources.errors import StorageError, Vanished
from resources.files import Files
from resources.lake import layout
from resources.lake.layout import DataFile
from resources.lake.marks import Hint, read_deletions, read_hints
from resources.schema import ISSUES, RUN_DATE, RUNS, Column
from resources.session import cursor, sql

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

BOTH = (layout.RUNS, layout.ISSUES)
_TABLES = {layout.RUNS: RUNS, layout.ISSUES: ISSUES}
_DUCKDB_TYPES = {
    "string": "VARCHAR",
    "json": "VARCHAR",
    "timestamp": "TIMESTAMPTZ",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "date": "DATE",
}


def reading(
    files: Files,
    work: Callable[[duckdb.DuckDBPyConnection], T],
    first: date | None = None,
    last: date | None = None,
    tables: Sequence[str] = BOTH,
) -> T:
    """What `work` answers, given a connection with the views `tables` of the days `first` to `last`.

    `work` may be called again, when files that it reads are compacted away meanwhile. Raises
    `StorageError` where the storage cannot be read.
    """
    import duckdb

    attempt = 0
    while True:
        attempt += 1
        with cursor() as connection:
            try:
                define_views(connection, files, first, last, tables)
                return work(connection)
            except (Vanished, duckdb.IOException) as error:
                if attempt == layout.ATTEMPTS:
                    raise StorageError(f"Could not read {files.url}: {error}") from error


def define_views(
    connection: duckdb.DuckDBPyConnection,
    files: Files,
    first: date | None = None,
    last: date | None = None,
    tables: Sequence[str] = BOTH,
) -> list[str]:
    """Create the views `tables` over the days `first` to `last`; the local files that they read.

    `severity` is an ENUM in the views, so ordering by it goes from critical to low.
    """
    whole = first is None and last is None
    days = None if whole else layout.days(files, first, last)
    data_files = layout.data_files(files, days)
    without, dirty = _choose(connection, files, data_files, days)
    counting = [f for f in data_files if f not in without]
    opened = []
    for table in tables:
        opened += _define(connection, files, table, counting, dirty)
    return opened


def _choose(
    connection: duckdb.DuckDBPyConnection,
    files: Files,
    data_files: list[DataFile],
    days: list[date] | None,
) -> tuple[set[DataFile], set[DataFile]]:
    """The files in which nothing counts, and those in which some copies do not.

    What does not count in the latter stands in the tables `runs_lost` and `issues_lost`.
    """
    names = dict(zip(files.paths([f.runs_path for f in data_files]), data_files, strict=True))
    if _collect_copies(connection, files, list(names), days):
        return set(), set()
    connection.execute(f"CREATE TEMP TABLE losers AS {sql('resources', 'losers')}")
    losers = connection.execute(
        "SELECT filename, any_value(row_count) = count(*) FROM losers GROUP BY filename"
    ).fetchall()
    without = {names[name] for name, all_of_it in losers if all_of_it and name in names}
    dirty = {names[name] for name, all_of_it in losers if not all_of_it and name in names}
    if dirty:
        twins = zip(
            files.paths([f.runs_path for f in dirty]),
            files.paths([f.issues_path for f in dirty]),
            strict=True,
        )
        connection.execute("CREATE TEMP TABLE twins (runs VARCHAR, issues VARCHAR)")
        connection.executemany("INSERT INTO twins VALUES ($1, $2)", list(twins))
        for table in BOTH:
            connection.execute(
                f"CREATE TEMP TABLE {table}_lost AS SELECT {table} AS filename, validation_run_id"
                " FROM losers JOIN twins ON losers.filename = twins.runs"
            )
    return without, dirty


def _collect_copies(
    connection: duckdb.DuckDBPyConnection, files: Files, names: list[str], days: list[date] | None
) -> bool:
    """Fill the tables that `losers.sql` reads; True where that is needless, since every copy counts.

    A read of some days also looks at the other days on which newer copies may lie.
    """
    connection.execute("CREATE TEMP TABLE deletions (validation_run_id VARCHAR, deleted_at TIMESTAMPTZ)")
    connection.execute(
        "CREATE TEMP TABLE run_copies"
        " (validation_run_id VARCHAR, stored_at TIMESTAMPTZ, batch_id VARCHAR, filename VARCHAR)"
    )
    if not names:
        return True
    deletions = read_deletions(files)
    elsewhere, run_ids = _elsewhere(read_hints(files), set(days)) if days is not None else (set(), set())
    others = [f.runs_path for f in layout.data_files(files, sorted(elsewhere))] if elsewhere else []
    if not deletions and not others:
        [(each_once,)] = connection.execute(sql("resources", "each_once"), [names]).fetchall()
        if each_once:
            return True
    if deletions:
        connection.executemany("INSERT INTO deletions VALUES ($1, $2)", list(deletions.items()))
    copies = (
        "INSERT INTO run_copies SELECT validation_run_id, stored_at, batch_id, filename"
        " FROM read_parquet($1, filename => true, hive_partitioning => false)"
    )
    connection.execute(copies, [names])
    if others:
        among = f"{copies} WHERE validation_run_id IN (SELECT unnest($2))"
        connection.execute(among, [files.paths(others), sorted(run_ids)])
    return False


def _elsewhere(hints: list[Hint], days: set[date]) -> tuple[set[date], set[str]]:
    """The further days to look at, and for which runs, following hints from day to day."""
    reached = {(h.run_id, h.run_date) for h in hints if h.run_date in days}
    before = 0
    while len(reached) != before:
        before = len(reached)
        reached |= {(h.run_id, h.other_date) for h in hints if (h.run_id, h.run_date) in reached}
    return {day for _, day in reached} - days, {run_id for run_id, _ in reached}


def _define(
    connection: duckdb.DuckDBPyConnection,
    files: Files,
    table: str,
    data_files: list[DataFile],
    dirty: set[DataFile],
) -> list[str]:
    """Create the view `table` over `data_files`; the local files that it reads."""
    columns = ", ".join(
        "severity::severity AS severity" if c.name == "severity" else c.name
        for c in (*_TABLES[table], RUN_DATE)
    )
    parts, opened = [], []
    for kind in ("clean", "dirty"):
        chosen = [f for f in data_files if (f in dirty) == (kind == "dirty")]
        if chosen:
            names = files.paths([f.runs_path if table == layout.RUNS else f.issues_path for f in chosen])
            connection.execute(f"SET VARIABLE {table}_{kind} = $1", [names])
            parts.append(sql("resources", kind).format(table=table, columns=columns))
            opened += names
    if not parts:
        nothing = ", ".join(f"NULL::{duckdb_type(c)} AS {c.name}" for c in (*_TABLES[table], RUN_DATE))
        parts = [f"SELECT {nothing} WHERE false"]
    connection.execute(f"CREATE TEMP VIEW {table} AS {' UNION ALL '.join(parts)}")
    return opened


def opened(connection: duckdb.DuckDBPyConnection, table: str = layout.ISSUES) -> list[str]:
    """The local files that the view `table` of a connection reads."""
    variables = ", ".join(f"getvariable('{table}_{kind}')" for kind in ("clean", "dirty"))
    [names] = connection.execute(f"SELECT {variables}").fetchall()
    return [name for kind in names for name in kind or ()]


def duckdb_type(column: Column) -> str:
    """The type that a column has in the views."""
    return "severity" if column.name == "severity" else _DUCKDB_TYPES[column.type]
