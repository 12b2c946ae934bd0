"""Reading: what a reader will look at goes from the server into tables of a DuckDB connection.

The days and the conditions become the server's query, the columns its projection. Documents come in
the driver's batches and leave as Arrow, so that at no time more than a batch of them is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

from resources.backend import COUNTED, Pushdown
from resources.backend import RUNS as RUNS_TABLE
from resources.backends.mongodb.connection import Connection, Document
from resources.backends.mongodb.deletions import Copies, hidden
from resources.backends.mongodb.selecting import columns, counted, narrowed, projection, selection
from resources.errors import Vanished
from resources.lake.read import duckdb_type

if TYPE_CHECKING:
    import duckdb
    from pymongo.client_session import ClientSession

_ROWS = 20_000
"""So many runs and issues go to DuckDB at a time."""


def define(
    connection: Connection,
    duck: duckdb.DuckDBPyConnection,
    first: date | None,
    last: date | None,
    tables: Sequence[str],
    pushdown: Pushdown,
) -> None:
    """Create the temporary tables `tables` in `duck`. Raises `StorageError` or `Vanished`."""
    kept = [table for table in tables if table != COUNTED]
    for table in kept:
        defined = ", ".join(f"{c.name} {duckdb_type(c)}" for c in columns(table, pushdown))
        duck.execute(f"CREATE TEMP TABLE {table} ({defined})")
    reading = _Reading(connection, first, last, kept, pushdown)
    batches = reading.batches(count=COUNTED in tables)
    while True:
        with connection.doing("read"):  # and not what DuckDB does with it
            heads = next(batches, None)
        if heads is None:
            break
        _insert(duck, heads, kept, pushdown)
    if COUNTED in tables:
        duck.execute(
            f"CREATE TEMP TABLE {COUNTED} AS SELECT ?::BIGINT AS total, ?::BIGINT AS filtered",
            list(reading.counts),
        )


class _Reading:
    """One read: its documents, and what was counted before they came."""

    def __init__(
        self,
        connection: Connection,
        first: date | None,
        last: date | None,
        tables: Sequence[str],
        pushdown: Pushdown,
    ) -> None:
        self.counts = (0, 0)
        self._connection = connection
        self._days = first, last
        self._tables = tables
        self._pushdown = pushdown

    def batches(self, count: bool) -> Iterator[list[Document]]:
        """The documents, so many at a time as have about `_ROWS` rows."""
        connection = self._connection
        collections = connection.reading
        with connection.session() as session:
            gone = hidden(collections, session)
            deletions = 0 if session else collections.deletions.count_documents({})
            if count:
                self.counts = counted(collections, *self._days, self._pushdown, gone, session)
            narrow = narrowed(collections, *self._days, self._pushdown, gone, session)
            query = selection(*self._days, self._tables, narrow)
            found = 0
            for heads in _batches(connection, query, projection(self._tables, narrow), gone, session):
                found += len(heads)
                yield heads
            if session is None and (
                collections.deletions.count_documents({}) != deletions
                or (narrow is not self._pushdown and not found)
            ):
                raise Vanished(f"Runs in {connection.url} went while they were read: read again.")


def _batches(
    connection: Connection, query: Document, fields: Document, gone: Copies, session: ClientSession | None
) -> Iterator[list[Document]]:
    from bson.codec_options import DatetimeConversion

    collections = connection.reading
    options = collections.runs.codec_options.with_options(datetime_conversion=DatetimeConversion.DATETIME_MS)
    runs = collections.runs.with_options(options)
    seen: set[str] = set()
    heads: list[Document] = []
    rows = 0
    with runs.find(query, fields, session=session) as cursor:
        for head in cursor:
            if (head["_id"], head["batch_id"]) in gone:
                continue
            if session is None:  # then an index may show a run again that has moved on in it
                if head["_id"] in seen:
                    raise Vanished(f"A run in {connection.url} was replaced while it was read: read again.")
                seen.add(head["_id"])
            if "parts" in head:
                _join(connection, head, session)
            heads.append(head)
            rows += 1 + len(head.get("issues", ()))
            if rows >= _ROWS:
                yield heads
                heads, rows = [], 0
    yield heads


def _join(connection: Connection, head: Document, session: ClientSession | None) -> None:
    from resources.backends.mongodb.documents import join

    query = {"_id": {"$in": head["parts"]}}
    found = {part["_id"]: part for part in connection.reading.parts.find(query, session=session)}
    if len(found) < len(head["parts"]):
        raise Vanished(f"A run in {connection.url} was replaced while it was read: read again.")
    join(head, [found[i] for i in head["parts"]])


def _insert(
    duck: duckdb.DuckDBPyConnection, heads: list[Document], tables: Sequence[str], pushdown: Pushdown
) -> None:
    from resources.backends.mongodb.documents import issues_table, runs_table

    runs = runs_table(heads)
    for table in tables:
        rows = runs if table == RUNS_TABLE else issues_table(heads, runs)
        duck.register("arrived", rows.select([c.name for c in columns(table, pushdown)]))
        duck.execute(f"INSERT INTO {table} BY NAME FROM arrived")
        duck.unregister("arrived")
