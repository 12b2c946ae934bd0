"""SQLite: a file, one writer at a time, readers beside it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import event

from resources.backends.sql.dialect import Dialect
from resources.backends.sql.settings import Sqlite
from resources.errors import StorageError
from resources.files import make_folders

_BEGIN = "sqlite_begin"


class SqliteDialect(Dialect):
    name = "sqlite"

    def __init__(self, settings: Sqlite) -> None:
        self.reads = {_BEGIN: "BEGIN"}
        self.writes = {_BEGIN: "BEGIN IMMEDIATE"}
        self._settings = settings
        self.patience = settings.connection_timeout
        self.url = f"sqlite:///{settings.place()}"

    def engine(self) -> sa.Engine:
        path = self._settings.place()
        try:
            make_folders(os.path.dirname(path))
        except OSError as error:
            raise StorageError(f"Could not make the folder of {path}: {error.strerror}.") from error
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=path),
            connect_args={"timeout": self._settings.connection_timeout, "check_same_thread": False},
        )

        @event.listens_for(engine, "connect")
        def prepare(connection: sqlite3.Connection, _: Any) -> None:
            # The driver would begin transactions by itself, and only before what writes.
            connection.isolation_level = None
            connection.execute(f"PRAGMA journal_mode = {self._settings.journal_mode}")
            connection.execute(f"PRAGMA synchronous = {self._settings.synchronous}")

        @event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))

        return engine

    def alone(self, connection: sa.Connection, name: str) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()  # as every transaction that writes is

    def passing(self, error: Any) -> bool:
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

    def refresh(self, connection: sa.Connection, tables: list[sa.Table]) -> None:  # noqa: ARG002
        connection.exec_driver_sql("PRAGMA optimize")

    def moment(self, value: datetime) -> str:
        return super().moment(value).isoformat(" ", "microseconds")  # type: ignore[no-any-return]

    def day(self, value: date) -> str:
        return value.isoformat()

    def column(self, values: list[Any], kind: pa.DataType) -> pa.Array:
        if pa.types.is_timestamp(kind):
            return pa.array(values, pa.string()).cast(pa.timestamp("us")).cast(kind)
        if pa.types.is_date(kind):
            return pa.array(values, pa.string()).cast(kind)
        return pa.array(values, kind)
