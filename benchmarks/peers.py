"""Databases and buckets without this program: the same rows, put where they go by the driver alone.

Each is handed the rows as its driver takes them, so that it has nothing to do but to store them,
in one transaction, in tables with the columns and indexes of ours.
"""

from __future__ import annotations

import asyncio
import io
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from resources.backends.sql.dialect import plain
from resources.backends.sql.rows import issues_rows, runs_rows
from resources.lake.write import prepare

if TYPE_CHECKING:
    from assets.kernel import Chunk
    from resources.backends.mongodb import MongoDb
    from resources.backends.sql.settings import Mysql, Postgresql, Sqlite

Rows = dict[str, pa.Table]
"""The rows of each of our two tables, by the end of its name."""


def rows(chunk: Chunk) -> Rows:
    """What an append of `chunk` to an empty database stores."""
    batch, _ = prepare(chunk.runs, {}, {})
    assert batch is not None
    return {"runs": runs_rows(batch), "issues": issues_rows(batch, chunk.issues)}


def postgresql(given: Rows) -> Callable[[Postgresql], None]:
    """A COPY for each table."""
    texts = {kind: _csv(table) for kind, table in given.items()}
    names = {kind: ", ".join(table.column_names) for kind, table in given.items()}

    def store(to: Postgresql) -> None:
        import psycopg

        with psycopg.connect(
            host=to.host, port=to.port, dbname=to.database, user=to.username, password=to.password
        ) as connection:
            for kind, text in texts.items():
                statement = f"COPY {to.table_name}_{kind} ({names[kind]}) FROM STDIN (FORMAT csv)"
                with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
                    copy.write(text)

    return store


def mysql(given: Rows) -> Callable[[Mysql], None]:
    """PyMySQL's `executemany`, which makes INSERT statements of many rows."""
    tuples = {kind: _tuples(table) for kind, table in given.items()}

    def store(to: Mysql) -> None:
        import pymysql

        with closing(
            pymysql.connect(
                host=to.host, port=to.port, database=to.database, user=to.username, password=to.password
            )
        ) as connection:
            with connection.cursor() as cursor:
                for kind, table in tuples.items():
                    cursor.executemany(_insert(f"{to.table_name}_{kind}", given[kind], "%s"), table)
            connection.commit()

    return store


def sqlite(given: Rows) -> Callable[[Sqlite], None]:
    """`executemany` of the standard library, with the pragmas that we set."""
    tuples = {kind: _tuples(table) for kind, table in given.items()}

    def store(to: Sqlite) -> None:
        with closing(sqlite3.connect(to.place())) as connection, connection:
            connection.execute(f"PRAGMA synchronous = {to.synchronous}")
            for kind, table in tuples.items():
                connection.executemany(_insert(f"{to.table_name}_{kind}", given[kind], "?"), table)

    return store


def mongodb(chunk: Chunk) -> Callable[[MongoDb], None]:
    """`insert_many` of the same documents, acknowledged as ours are."""
    from datetime import UTC, datetime

    from resources.backends.mongodb.documents import Stamp, encode

    stamp = Stamp(datetime.now(UTC), "0" * 32)
    stamps = dict.fromkeys(range(chunk.runs.num_rows), stamp)
    documents = [stored.document for stored in encode(chunk.runs, chunk.issues, stamps)]

    def store(to: MongoDb) -> None:
        from pymongo import MongoClient, WriteConcern

        with MongoClient[dict[str, Any]](to.connection_string) as client:
            concern = WriteConcern(w="majority", j=True)
            into = client[to.database].get_collection(to.collection, write_concern=concern)
            into.insert_many(documents, ordered=False)

    return store


def put(filesystem: Any, objects: dict[str, bytes]) -> None:
    """Put all `objects` at once, as many on their way as the driver itself allows."""
    asyncio.run_coroutine_threadsafe(_put(filesystem, objects), filesystem.loop).result()


def table(data: bytes) -> pa.Table:
    """A Parquet file as the table it was made of, texts that repeat as dictionaries."""
    file = pq.ParquetFile(pa.BufferReader(data))
    group = file.metadata.row_group(0)
    chunks = [group.column(number) for number in range(group.num_columns)]
    coded = [c.path_in_schema for c in chunks if c.has_dictionary_page and c.physical_type == "BYTE_ARRAY"]
    return pq.read_table(pa.BufferReader(data), read_dictionary=coded)


def make_and_put(filesystem: Any, tables: dict[str, pa.Table]) -> None:
    """Make a Parquet file of each table, and put each as soon as it is made."""

    def made(path: str) -> tuple[str, bytes]:
        buffer = io.BytesIO()
        pq.write_table(tables[path], buffer, compression="zstd", store_schema=False)
        return path, buffer.getvalue()

    with ThreadPoolExecutor() as pool:
        on_their_way = [
            asyncio.run_coroutine_threadsafe(filesystem._pipe_file(path, data), filesystem.loop)
            for path, data in pool.map(made, tables)
        ]
        for put_ in on_their_way:
            put_.result()


async def _put(filesystem: Any, objects: dict[str, bytes]) -> None:
    await asyncio.gather(*(filesystem._pipe_file(path, data) for path, data in objects.items()))


def _csv(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(table, buffer, pyarrow.csv.WriteOptions(include_header=False))
    return buffer.getvalue()


def _tuples(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(plain(column).to_pylist() for column in table.columns), strict=True))


def _insert(name: str, table: pa.Table, mark: str) -> str:
    marks = ", ".join([mark] * table.num_columns)
    return f"INSERT INTO {name} ({', '.join(table.column_names)}) VALUES ({marks})"
