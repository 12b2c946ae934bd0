"""Reading: which files there are, which copies in them count, and both tables as DuckDB views.

Choosing costs one pass over the run ids of the selected days, once for the same files. Nearly
always it finds nothing to leave out, and then the views are plain `read_parquet` over the list of
files. Where it does, only the copies that are under suspicion are looked at: of runs with several
copies, deleted ones, ones that a hint names. Files in which nothing counts any more are not in the
list; only files in which some copies count pay for a join.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, TypeVar

from resources.encryption import sql_parts
from resources.errors import StorageError, Vanished
from resources.files import Files
from resources.lake import layout
from resources.lake.layout import DataFile
from resources.lake.marks import Hint, deletion_paths, read_hints
from resources.schema import ISSUES, RUN_DATE, RUNS, Column
from resources.session import cursor, sql

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

BOTH = (layout.RUNS, layout.ISSUES)
_TABLES = {layout.RUNS: RUNS, layout.ISSUES: ISSUES}
EACH_ONCE: deque[frozenset[str]] = deque(maxlen=16)
"""Sets of runs files that hold every run once. Files never change, so that stays true, and it is
true of fewer of them."""

_DUCKDB_TYPES = {
    "string": "VARCHAR",
    "json": "VARCHAR",
    "timestamp": "TIMESTAMPTZ",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "date": "DATE",
    "boolean": "BOOLEAN",
    "double": "DOUBLE",
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
    return files.using(lambda: _reading(files, work, first, last, tables))


def _reading(
    files: Files,
    work: Callable[[duckdb.DuckDBPyConnection], T],
    first: date | None,
    last: date | None,
    tables: Sequence[str],
) -> T:
    import duckdb

    attempt = 0
    while True:
        attempt += 1
        with cursor(files.key) as connection:
            try:
                define_views(connection, files, first, last, tables)
                return work(connection)
            except duckdb.InvalidInputException as error:
                # Also where a file was replaced between two looks at it, by the same rows encrypted anew.
                if not is_undecrypted(error):
                    raise
                if attempt == layout.ATTEMPTS:
                    raise StorageError(undecrypted(files, error)) from error
            except (Vanished, duckdb.IOException) as error:
                if attempt == layout.ATTEMPTS:
                    raise StorageError(f"Could not read {files.url}: {error}") from error
                # A file server's client may remember that a file or folder was not there, until it
                # opens what should hold it. The runs are listed again in any case.
                layout.data_files(files, None, layout.ISSUES)


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
    without, dirty, mixed = _choose(connection, files, data_files, days)
    counting = [f for f in data_files if f not in without]
    opened = []
    for table in tables:
        opened += _define(connection, files, table, counting, dirty, mixed)
    return opened


def counting_files(files: Files) -> tuple[list[DataFile], list[DataFile]]:
    """The files of the lake in which anything counts, in the order of day and name, and those of
    them in which something does not. Raises `Vanished` where one has gone meanwhile."""

    def choose() -> tuple[list[DataFile], list[DataFile]]:
        import duckdb

        listed = layout.data_files(files)
        with cursor(files.key) as connection:
            try:
                without, dirty, _ = _choose(connection, files, listed, None)
            except duckdb.IOException as error:
                raise Vanished(f"Could not read {files.url}: {error}") from error
        return [f for f in listed if f not in without], sorted(dirty, key=lambda f: (f.day, f.name))

    return files.using(choose)


def _choose(
    connection: duckdb.DuckDBPyConnection,
    files: Files,
    data_files: list[DataFile],
    days: list[date] | None,
) -> tuple[set[DataFile], set[DataFile], bool]:
    """The files in which nothing counts, and those in which some copies do not; whether a run has lost
    one copy in the latter and another one there counts.

    What does not count in the latter stands in the tables `runs_lost` and `issues_lost`.
    """
    names = dict(zip(files.paths([f.runs_path for f in data_files]), data_files, strict=True))
    if _collect_copies(connection, files, list(names), days):
        return set(), set(), False
    connection.execute(f"CREATE TEMP TABLE losers AS {sql('resources', 'losers')}")
    losers = connection.execute(
        "SELECT filename, any_value(row_count) = count(*) FROM losers GROUP BY filename"
    ).fetchall()
    without = {names[name] for name, all_of_it in losers if all_of_it and name in names}
    dirty = {names[name] for name, all_of_it in losers if not all_of_it and name in names}
    mixed = False
    if dirty:
        twins = [files.paths([f.runs_path for f in dirty]), files.paths([f.issues_path for f in dirty])]
        connection.execute("INSERT INTO twins SELECT unnest($1), unnest($2)", twins)
        [(mixed,)] = connection.execute(sql("resources", "mixed")).fetchall()
        for table in BOTH:
            connection.execute(
                f"CREATE TEMP TABLE {table}_lost AS SELECT {table} AS filename, validation_run_id"
                " FROM losers JOIN twins ON losers.filename = twins.runs"
            )
    return without, dirty, mixed


def _collect_copies(
    connection: duckdb.DuckDBPyConnection, files: Files, names: list[str], days: list[date] | None
) -> bool:
    """Fill the tables that `losers.sql` reads; True where that is needless, since every copy counts.

    A read of some days also looks at the other days on which newer copies may lie.
    """
    connection.execute(sql("resources", "copies_tables"))
    if not names:
        return True
    elsewhere, run_ids = _elsewhere(read_hints(files), set(days)) if days is not None else (set(), set())
    others = [f.runs_path for f in layout.data_files(files, sorted(elsewhere))] if elsewhere else []
    _collect_suspects(connection, files, names, run_ids if others else set())
    deleted = deletion_paths(files)
    if deleted:
        connection.execute(reading_sql(files, "deletions"), [files.paths(deleted)])
        connection.execute("INSERT INTO suspects SELECT hash(validation_run_id) FROM deletions")
    [(suspected,)] = connection.execute("SELECT count(*) > 0 FROM suspects").fetchall()
    if not suspected:
        return True
    connection.execute(reading_sql(files, "copies", condition="true"), [names])
    if others:
        among = "validation_run_id IN (SELECT unnest($2))"
        connection.execute(
            reading_sql(files, "copies", condition=among), [files.paths(others), sorted(run_ids)]
        )
    _count_rows(connection, files)
    return False


def _collect_suspects(
    connection: duckdb.DuckDBPyConnection, files: Files, names: list[str], run_ids: set[str]
) -> None:
    """Put the hashes of the ids that `names` hold more than once, and of `run_ids`, into `suspects`."""
    among = frozenset(names)
    if not any(among <= once for once in tuple(EACH_ONCE)):
        [(repeated,)] = connection.execute(reading_sql(files, "repeated"), [names]).fetchall()
        if not repeated:
            EACH_ONCE.append(among)
    if run_ids:
        connection.execute("INSERT INTO suspects SELECT hash(unnest($1))", [sorted(run_ids)])


def _count_rows(connection: duckdb.DuckDBPyConnection, files: Files) -> None:
    """How many rows has each file in which there is a suspect? Their footers say."""
    found = connection.execute("SELECT DISTINCT filename FROM run_copies").fetchall()
    if found:
        counts = "INSERT INTO file_rows SELECT file_name, num_rows FROM parquet_file_metadata($1)"
        if files.key is not None:  # which that function cannot use
            counts = reading_sql(files, "row_counts")
        connection.execute(counts, [[name for (name,) in found]])


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
    mixed: bool,
) -> list[str]:
    """Create the view `table` over `data_files`; the local files that it reads."""
    same_file = " AND lost.filename = stored.filename" if mixed else ""
    # What cannot fail DuckDB does once for each value of a dictionary, not for each row.
    columns = ", ".join(
        "TRY_CAST(severity AS severity) AS severity" if c.name == "severity" else c.name
        for c in (*_TABLES[table], RUN_DATE)
    )
    parts, opened = [], []
    for kind in ("clean", "dirty"):
        chosen = [f for f in data_files if (f in dirty) == (kind == "dirty")]
        if chosen:
            names = files.paths([f.runs_path if table == layout.RUNS else f.issues_path for f in chosen])
            connection.execute(f"SET VARIABLE {table}_{kind} = $1", [names])
            parts.append(reading_sql(files, kind, table=table, columns=columns, same_file=same_file))
            opened += names
    if not parts:
        nothing = ", ".join(f"NULL::{duckdb_type(c)} AS {c.name}" for c in (*_TABLES[table], RUN_DATE))
        parts = [f"SELECT {nothing} WHERE false"]
    connection.execute(f"CREATE TEMP VIEW {table} AS {' UNION ALL '.join(parts)}")
    return opened


def is_undecrypted(error: duckdb.Error) -> bool:
    """Whether DuckDB says that what it read was not encrypted with the key."""
    return "AES tag" in str(error)


def undecrypted(files: Files, error: duckdb.Error) -> str:
    """What that means to who asked."""
    return (
        f"A file of {files.url} is damaged, or was not encrypted with the key that its name says; if it was"
        f" just replaced, asking again helps: {error}"
    )


def reading_sql(files: Files, name: str, **parts: str) -> str:
    """The text of `sql/<name>.sql`, which reads files of a lake, with `parts` filled in."""
    return sql("resources", name).format(**sql_parts(files.key), **parts)


def opened(connection: duckdb.DuckDBPyConnection, table: str = layout.ISSUES) -> list[str]:
    """The local files that the view `table` of a connection reads."""
    variables = ", ".join(f"getvariable('{table}_{kind}')" for kind in ("clean", "dirty"))
    [names] = connection.execute(f"SELECT {variables}").fetchall()
    return [name for kind in names for name in kind or ()]


def duckdb_type(column: Column) -> str:
    """The type that a column has in the views."""
    return "severity" if column.name == "severity" else _DUCKDB_TYPES[column.type]
