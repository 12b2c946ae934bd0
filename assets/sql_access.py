"""SQL for analysts: the views of a lake, on a fenced connection or on one of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from assets.retention import outlines
from assets.summary import summarised
from resources.backend import BOTH, Backend, Pushdown
from resources.errors import LimitExceeded, QueryError, StorageError
from resources.session import connect, fence, only_select
from resources.telemetry import Value, traced

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from assets.sql_scope import Scope

VIEWS_OF_PROBLEMS = ("problems", "problem_lives", "triage_decisions")
VIEWS = ("runs", "issues", "rejected", "daily_summary", *VIEWS_OF_PROBLEMS)
DEFAULT_MAX_ROWS = 10_000
DEFAULT_SECONDS = 60.0

_INTERRUPT_AGAIN = 0.1
"""Seconds."""


def views(lake: Backend) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with the views `VIEWS`.

    The views show the lake as it is now. Close the connection when done.
    """
    connection = connect(memory_limit="80%")
    try:
        _define(connection, lake)
    except Exception:
        connection.close()
        raise
    return connection


def _told(answered: pa.Table, lake: Backend, *_: object) -> dict[str, Value]:
    return {"query": "sql", "backend": lake.name, "rows": answered.num_rows}


@traced("query", _told)
def select(
    lake: Backend, query: str, max_rows: int = DEFAULT_MAX_ROWS, seconds: float = DEFAULT_SECONDS
) -> pa.Table:
    """The rows of one SELECT over the views, behind the fence, as an Arrow table.

    Behind the fence there is no file but the lake's, no network, no writing, no attaching, no
    extension and no setting. Raises `QueryError` for what is not let through or cannot be
    answered, `LimitExceeded` past `max_rows` rows or `seconds` seconds.
    """
    return lake.files.using(lambda: _selected(lake, query, max_rows, seconds))


def _selected(lake: Backend, query: str, max_rows: int, seconds: float) -> pa.Table:
    import duckdb

    # A backend that copies what a question is about must know the question.
    if lake.limits(Pushdown()) and not _names_problems(query):
        from assets.sql_scope import scope

        try:
            return _select(lake, query, max_rows, seconds, scope(query))
        except QueryError as error:
            # It may have meant what it did not name; but not where that would be wrong of everything, too.
            if not isinstance(error.__cause__, duckdb.BinderException | duckdb.CatalogException):
                raise
            if not _is_understood(query):
                raise
    return _select(lake, query, max_rows, seconds, None)


def _names_problems(query: str) -> bool:
    return any(view in query.lower() for view in VIEWS_OF_PROBLEMS)


def _is_understood(query: str) -> bool:
    """Whether all that `query` names is there, in tables without rows."""
    import duckdb

    from resources.lake.read import duckdb_type
    from resources.lake.rejected import COLUMNS
    from resources.schema import ISSUES, RUN_DATE, RUNS

    every = {"runs": (*RUNS, RUN_DATE), "issues": (*ISSUES, RUN_DATE), "rejected": COLUMNS}
    with connect() as connection:
        for name, columns in every.items():
            defined = ", ".join(f'"{c.name}" {duckdb_type(c)}' for c in columns)
            connection.execute(f"CREATE TEMP TABLE {name} ({defined})")
        connection.execute(f"CREATE TEMP VIEW daily_summary AS {summarised('runs')}")
        try:
            connection.execute(f"EXPLAIN {only_select(connection, query)}")
        except duckdb.Error:
            return False
    return True


def _select(lake: Backend, query: str, max_rows: int, seconds: float, scope: Scope | None) -> pa.Table:
    import duckdb

    from resources.lake.read import is_undecrypted, undecrypted

    with connect() as connection, _time_limit(connection, seconds) as timer:
        try:
            fence(connection, _define(connection, lake, query, scope))
            relation = connection.sql(only_select(connection, query))
            if relation is None:
                raise QueryError("The statement has no rows to show.")
            table = relation.limit(max_rows + 1).to_arrow_table()
        except duckdb.InterruptException:
            raise LimitExceeded(f"The query took longer than {seconds:g} s; raise --max-seconds.") from None
        except duckdb.IOException as error:
            raise StorageError(f"Could not read {lake.url}: {error}") from error
        except duckdb.Error as error:
            if is_undecrypted(error):
                raise StorageError(undecrypted(lake.files, error)) from error
            if timer.expired:
                raise LimitExceeded(
                    f"The query took longer than {seconds:g} s; raise --max-seconds."
                ) from None
            raise QueryError(str(error)) from error
    if table.num_rows > max_rows:
        raise LimitExceeded(f"The query has more than {max_rows} rows; add a LIMIT or raise --max-rows.")
    return table


def _define(
    connection: duckdb.DuckDBPyConnection, lake: Backend, query: str | None = None, scope: Scope | None = None
) -> list[str]:
    """Create the views, or those that `query` needs and are in `scope`; the local files that they read."""
    from assets.problems import relation
    from resources.lake.rejected import table

    if scope is None:
        opened = lake.define_views(connection)
    else:
        opened = lake.define_views(connection, scope.first, scope.last, scope.tables, scope.pushdown)
    waiting = table(lake.files)
    connection.register("rejected_now", waiting)
    connection.execute("CREATE TEMP TABLE rejected AS FROM rejected_now")
    connection.unregister("rejected_now")
    if scope is None or scope.summary:
        first, last, tables = (None, None, BOTH) if scope is None else (scope.first, scope.last, scope.tables)
        opened += outlines.define(connection, lake, first, last, tables)
        connection.execute(f"CREATE TEMP VIEW daily_summary AS {summarised(outlines.ALL_RUNS)}")
    # Which state of the problems is still true takes a look at every run.
    if query is None or _names_problems(query):
        opened += relation.define_everywhere(connection, lake)
    return opened


class _Timer:
    """Interrupts whatever a connection does once its time is up, until the query has ended."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, seconds: float) -> None:
        self.expired = False
        self._connection = connection
        self._seconds = seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        wait = self._seconds
        while not self._ended.wait(wait):
            self.expired = True
            # Between two statements of a query it is lost.
            self._connection.interrupt()
            wait = _INTERRUPT_AGAIN

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        self._ended.set()
        self._thread.join()


@contextmanager
def _time_limit(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[_Timer]:
    timer = _Timer(connection, seconds)
    timer.start()
    try:
        yield timer
    finally:
        timer.cancel()
