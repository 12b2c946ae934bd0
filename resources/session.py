"""DuckDB connections: how each is set up, and the fence around one that runs users' SQL."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.resources import files as package_files
from typing import TYPE_CHECKING

from resources.encryption import Key
from resources.errors import QueryError
from resources.schema import SEVERITIES

if TYPE_CHECKING:
    import duckdb

_EXPLAIN = re.compile(r"\s*explain(\s+analyze)?\s", re.IGNORECASE)

MEMORY_LIMIT = "512MB"
"""More than this and DuckDB spills to disk; the process as a whole stays under 1 GiB."""


def connect(memory_limit: str = MEMORY_LIMIT) -> duckdb.DuckDBPyConnection:
    """A database of its own, in memory, in UTC; it never downloads or loads an extension.

    It knows the type `severity`, an ENUM in the order of `schema.SEVERITIES`.
    """
    import duckdb

    connection = duckdb.connect(
        config={
            "memory_limit": memory_limit,
            "temp_directory": os.path.join(tempfile.gettempdir(), f"issuelake-duckdb-{os.getpid()}"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    # It would go to standard output, among the answers, wherever DuckDB takes the process for a prompt.
    # In a notebook without ipywidgets there is none, and no setting it.
    with suppress(duckdb.InvalidInputException):
        connection.execute("SET enable_progress_bar = false")
    connection.execute(f"CREATE TYPE severity AS ENUM ({', '.join(map(literal, SEVERITIES))})")
    return connection


def cursor(key: Key | None = None) -> duckdb.DuckDBPyConnection:
    """A connection to this process's shared database: its own temporary views, tables and variables.

    Opening a database takes 20 to 30 ms, a connection to an open one 10 µs. There is one database
    for each key, which it can read files with.
    """
    return _shared(os.getpid(), key).cursor()


@cache
def _shared(process: int, key: Key | None) -> duckdb.DuckDBPyConnection:  # noqa: ARG001  (a forked child opens its own)
    connection = connect()
    if key is not None:
        key.add_to(connection)
    return connection


def fence(connection: duckdb.DuckDBPyConnection, paths: Iterable[str]) -> None:
    """From here on the connection opens no file but `paths`, and no setting can be changed back."""
    connection.execute(f"SET allowed_paths = [{', '.join(map(literal, paths))}]")
    connection.execute("SET allow_community_extensions = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def only_select(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """`query`, where it is one statement that only reads. Raises `QueryError`.

    The fence leaves some doors open (`ATTACH ':memory:'`, `CREATE TABLE`, `SET VARIABLE`, `COPY`
    over a file of the lake); none of them is a SELECT. EXPLAIN ANALYZE runs what it explains, so
    what counts is the statement behind it.
    """
    import duckdb

    explained = _EXPLAIN.sub("", query, count=1)
    try:
        statements = connection.extract_statements(explained)
    except duckdb.Error as error:
        raise QueryError(f"The SQL cannot be read: {error}") from error
    if len(statements) != 1:
        raise QueryError(f"Give one SQL statement; this has {len(statements)}.")
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = statements[0].type.name
        raise QueryError(f"Only statements that read (SELECT, WITH, FROM, DESCRIBE) get through, not {kind}.")
    return query


def literal(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


@cache
def sql(package: str, name: str) -> str:
    """The text of `sql/<name>.sql` in `package`."""
    return (package_files(package) / "sql" / f"{name}.sql").read_text("utf-8")
