"""What stays of retired runs, and reading it together with the runs that are stored.

    retired/runs/<first day>_<last day>_<name>.parquet      `columns.RUNS`
    retired/issues/<first day>_<last day>_<name>.parquet    `columns.ISSUES`, written first

An outline is written before its run goes. It counts when the mark of just that deletion is the last
one on the run, and the run is not stored: so whatever fails in between, a run counts once. The
relations `all_runs` and `all_issues` have what is stored and the outlines that count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, TypeVar

from assets.retention import columns
from resources.backend import BOTH, ISSUES, RUNS, Backend, Pushdown
from resources.encryption import sql_parts
from resources.files import Files
from resources.lake import layout
from resources.lake.marks import deletion_paths
from resources.lake.read import duckdb_type
from resources.schema import Column
from resources.session import sql

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

T = TypeVar("T")

FOLDER = "retired"
ALL_RUNS, ALL_ISSUES = "all_runs", "all_issues"

_IDS = Pushdown(columns=frozenset({"validation_run_id"}))


def path_of(table: str, first: date | str, last: date | str, name: str) -> str:
    """Where the outlines of `table` lie that `name` tells apart from others."""
    return f"{FOLDER}/{table}/{first}_{last}_{name}.parquet"


def reading(
    lake: Backend,
    work: Callable[[duckdb.DuckDBPyConnection], T],
    first: date | None = None,
    last: date | None = None,
    tables: Sequence[str] = BOTH,
    pushdown: Pushdown | None = None,
) -> T:
    """As `Backend.reading`; beside `runs` and `issues` there are `all_runs` and `all_issues`."""

    def united(connection: duckdb.DuckDBPyConnection) -> T:
        # Looked up after the runs: what is retired from now on is among those.
        define(connection, lake, first, last, tables)
        return work(connection)

    return lake.reading(united, first, last, tables, pushdown)


def days(lake: Backend) -> list[date]:
    """The days that have runs or outlines, oldest first; some may have none any more."""
    outlines = read(lake.files)
    outlined = [] if outlines is None else outlines["run_date"].unique().to_pylist()
    return sorted({*lake.days(), *outlined})


def define(
    connection: duckdb.DuckDBPyConnection,
    lake: Backend,
    first: date | None = None,
    last: date | None = None,
    tables: Sequence[str] = BOTH,
) -> list[str]:
    """Create `all_runs` and `all_issues` of `tables` and days; the local files that they read."""
    import pyarrow as pa

    found = _counting(lake, first, last)
    opened: list[str] = []
    if found is not None:
        if ISSUES in tables:
            paths = found["issues_path"].unique().to_pylist()
            opened = lake.files.paths(paths)
            named = dict(zip(paths, opened, strict=True))
            found = found.append_column(
                "filename", pa.array([named[path] for path in found["issues_path"].to_pylist()], pa.string())
            )
        connection.register("outlines_found", found)
        # Those that are retired while this is going on are among the runs as well.
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE outlines_now AS FROM outlines_found"
            + (" ANTI JOIN runs USING (validation_run_id)" if RUNS in tables else "")
        )
        connection.unregister("outlines_found")
    if RUNS in tables:
        outlined = ", ".join(_quoted(_there(connection, RUNS, columns.RUNS)))
        more = "" if found is None else f" UNION ALL SELECT {outlined} FROM outlines_now"
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {ALL_RUNS} AS SELECT {outlined} FROM {RUNS}{more}")
    if ISSUES in tables:
        _define_issues(connection, lake.files, opened)
    return opened


def _define_issues(connection: duckdb.DuckDBPyConnection, files: Files, names: Sequence[str]) -> None:
    stored = _there(connection, ISSUES, columns.ISSUES)
    details = "details" in _names(connection, ISSUES)
    shown = [*_quoted(stored), *(["details"] if details else [])]
    rows = f"SELECT {', '.join(shown)}, NULL::VARCHAR AS rule FROM {ISSUES}"
    if names:
        connection.execute("SET VARIABLE outlined_issues = $1", [list(names)])
        parts = sql_parts(files.key)
        source = f"read_parquet(getvariable('outlined_issues'), filename => true{parts['encryption']})"
        typed = [f'"{c.name}"::{duckdb_type(c)}' for c in stored]
        without = ["NULL"] if details else []
        rows += (
            f" UNION ALL SELECT {', '.join([*typed, *without, 'rule'])}"
            f" FROM (FROM {source}{parts['barrier']}) SEMI JOIN outlines_now"
            " USING (filename, audit_id, validation_run_id)"
        )
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {ALL_ISSUES} AS {rows}")


def _there(connection: duckdb.DuckDBPyConnection, table: str, wanted: Sequence[Column]) -> list[Column]:
    """Those of `wanted` that the relation has: a backend may leave out what nobody asked for."""
    names = _names(connection, table)
    return [column for column in wanted if column.name in names]


def _quoted(wanted: Sequence[Column]) -> list[str]:
    return [f'"{column.name}"' for column in wanted]


def _names(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    return connection.sql(f"FROM {table}").columns


def read(files: Files, first: date | None = None, last: date | None = None) -> pa.Table | None:
    """The outlines of runs that may be on the days, counting or not; None where there is no file of them.

    `issues_path` says where the issues of each lie.
    """
    paths = [
        path
        for path in layout.parquet_paths(files, f"{FOLDER}/{RUNS}")
        if _may_have(path, first or date.min, last or date.max)
    ]
    return files.using(lambda: _read(files, paths)) if paths else None


def carry_over(source: Files, target: Files) -> None:
    """Copy the outlines of `source`; the deletions that they are of have to be copied, too."""
    from resources.lake.parquet import decode, encode

    there = set(layout.parquet_paths(target, FOLDER))
    for path in layout.parquet_paths(source, FOLDER):  # those of issues first, by their name
        if path not in there:
            table = decode(source.read(path), key=source.key)
            target.publish(path, encode(table, key=target.key))


def marks(files: Files) -> pa.Table | None:
    """Which runs were deleted, by whomever, up to which moment; None where none was."""
    import pyarrow as pa

    from resources.lake.parquet import read_table

    paths = deletion_paths(files)
    if not paths:
        return None
    return files.using(
        lambda: pa.concat_tables([read_table(name, key=files.key) for name in files.paths(paths)])
    )


def _counting(lake: Backend, first: date | None, last: date | None) -> pa.Table | None:
    """The outlines of runs on the days that count; None where there are none."""
    outlines = read(lake.files, first, last)
    deleted = None if outlines is None else marks(lake.files)
    if outlines is None or deleted is None:
        return None

    def count(connection: duckdb.DuckDBPyConnection) -> pa.Table:
        connection.register("outlines", outlines)
        connection.register("marks", deleted)
        try:
            span = {"first": first or date.min, "last": last or date.max}
            return connection.sql(sql("assets.retention", "outlines_counting"), params=span).to_arrow_table()
        finally:
            connection.unregister("outlines")
            connection.unregister("marks")

    found = lake.reading(count, None, None, (RUNS,), _IDS)
    return found if found.num_rows else None


def _read(files: Files, paths: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    from resources.lake.parquet import read_table

    tables = []
    for path, name in zip(paths, files.paths(paths), strict=True):
        table = read_table(name, key=files.key)
        issues = path.replace(f"{FOLDER}/{RUNS}/", f"{FOLDER}/{ISSUES}/")
        tables.append(table.append_column("issues_path", pa.array([issues] * table.num_rows, pa.string())))
    return pa.concat_tables(tables)


def _may_have(path: str, first: date, last: date) -> bool:
    begins, ends, _ = path.rpartition("/")[2].split("_")
    return date.fromisoformat(begins) <= last and date.fromisoformat(ends) >= first
