"""A database that has fallen silent: what is asked of it ends in time, and goes on when it is back."""

from __future__ import annotations

import gc
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from assets import answers
from resources.backend import Backend
from resources.backends.mongodb import MongoDb
from resources.backends.sql import session
from resources.backends.sql.patience import connect
from resources.backends.sql.settings import Mysql, Postgresql, Sqlite
from resources.backends.sql.tables import Tables
from resources.config import Storage
from resources.errors import StorageError
from tests.backends.sql_servers import settings
from tests.lake.state import append, document, read, stored
from tests.proxy import Proxy, proxy
from tests.servers import Mongo, Sql

PATIENCE = 1.0
AT_MOST = 15 * PATIENCE
"""MongoDB looks for another server before it gives up, and everybody shares the machine."""


@pytest.fixture(params=["postgresql", "mysql", "mongodb"])
def behind_a_proxy(request: pytest.FixtureRequest) -> Iterator[tuple[Proxy, Backend]]:
    """A backend that waits `PATIENCE` seconds, and the network before its server."""
    if request.param == "mongodb":
        mongo: Mongo = request.getfixturevalue("mongo_server")
        with proxy(mongo.port) as network:
            url = f"mongodb://127.0.0.1:{network.port}/?directConnection=true"
            yield (
                network,
                MongoDb(connection_string=url, collection="silence", timeout_seconds=PATIENCE).open(),
            )
        return
    server: Sql = request.getfixturevalue(f"{request.param}_server")
    kind: Any = {"postgresql": Postgresql, "mysql": Mysql}[request.param]
    with proxy(server.port) as network:
        yield network, settings(kind, server, port=network.port, timeout_seconds=PATIENCE).open()


QUESTIONS: dict[str, Callable[[Backend], object]] = {
    "store": lambda backend: append(backend, [document("b")]),
    "read": read,
    "latest": lambda backend: answers.latest(Storage("silent", backend)),
    "days": lambda backend: backend.days(),
    "delete": lambda backend: backend.delete(["a"]),
    "files": lambda backend: backend.rejected(),
}


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_a_black_hole_ends_in_time(
    behind_a_proxy: tuple[Proxy, Backend], ask: Callable[[Backend], object]
) -> None:
    network, backend = behind_a_proxy
    append(backend, [document("a")])
    network.black_hole = True
    started = time.monotonic()
    with pytest.raises(StorageError):
        ask(backend)
    assert time.monotonic() - started < AT_MOST
    network.black_hole = False
    assert read(backend)["a"] == stored("a")


@pytest.mark.parametrize("behind_a_proxy", ["postgresql", "mysql"], indirect=True)
def test_a_connection_that_broke_in_silence_costs_a_part_of_the_time(
    behind_a_proxy: tuple[Proxy, Backend],
) -> None:
    """What was sent on it is lost; a new one is as good as ever."""
    network, backend = behind_a_proxy
    append(backend, [document("a")])
    network.black_hole = True
    back = threading.Timer(PATIENCE / 8, setattr, (network, "black_hole", False))
    started = time.monotonic()
    back.start()
    assert read(backend)["a"] == stored("a")
    assert time.monotonic() - started < PATIENCE


def test_a_locked_file_is_waited_for_only_so_long(tmp_path: Path) -> None:
    place = Sqlite(database_path=str(tmp_path / "issues.db"), connection_timeout=PATIENCE)
    backend = place.open()
    append(backend, [document("a")])
    with closing(sqlite3.connect(place.database_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(StorageError, match="locked"):
            append(backend, [document("b")])
        assert PATIENCE * 0.9 < time.monotonic() - started < AT_MOST
        assert set(read(backend)) == {"a"}
        other.execute("ROLLBACK")
    append(backend, [document("b")])
    assert set(read(backend)) == {"a", "b"}


def test_a_cursor_of_a_connection_that_broke_is_not_warned_of(postgresql_server: Sql) -> None:
    """It would be when it is collected, in the middle of something else."""
    own = postgresql_server
    with proxy(own.port) as network:
        place = {"host": "127.0.0.1", "port": network.port, "dbname": "postgres", "user": own.username}
        connection = connect(PATIENCE, **place, password=own.password, sslmode="disable")
        cursor = connection.cursor("of_the_server")
        cursor.execute("SELECT generate_series(1, 10)")
        network.black_hole = True
        with pytest.raises(psycopg.OperationalError, match="timeout_seconds"):
            cursor.fetchall()
        assert connection.closed
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        del cursor
        gc.collect()
    assert [str(warning.message) for warning in told] == []


def test_an_upgrade_may_take_longer_than_an_answer(
    postgresql_server: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an index of a large table does, which no server makes in `timeout_seconds`."""
    bring_up_to_date = session.bring_up_to_date

    def slowly(connection: sa.Connection, tables: Tables) -> None:
        connection.execute(sa.select(sa.func.pg_sleep(2 * PATIENCE)))
        bring_up_to_date(connection, tables)

    monkeypatch.setattr(session, "bring_up_to_date", slowly)
    backend = settings(Postgresql, postgresql_server, timeout_seconds=PATIENCE).open()
    append(backend, [document("a")])
    assert set(read(backend)) == {"a"}
