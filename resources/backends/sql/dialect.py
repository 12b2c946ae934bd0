"""What differs between databases: how one is reached, locked and filled, and what its errors mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from importlib import import_module
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from resources.backends.sql.settings import Mysql, Postgresql
from resources.errors import UsageError

ROWS_AT_ONCE = 20_000
"""Rows that are on their way as Python objects at a time."""


_PING = 0.25
"""Of the time for an answer: for so long a connection is asked whether it is still there."""


class Dialect(ABC):
    """One kind of database."""

    name: str
    url: str
    """Where it is, without secrets."""
    reads: dict[str, Any]
    """Options of a connection whose reads all see one moment."""
    writes: dict[str, Any]
    secret: str = ""
    patience: float
    """Seconds after which what did not go through is not tried again."""

    @abstractmethod
    def engine(self) -> sa.Engine:
        """A pool of connections, none of which is open yet."""

    @abstractmethod
    def alone(self, connection: sa.Connection, name: str) -> AbstractContextManager[None]:
        """Wait until nobody else makes tables under `name`, and let nobody else do so meanwhile."""

    @abstractmethod
    def passing(self, error: Any) -> bool:
        """Whether the same transaction may well go through when it is tried again."""

    @abstractmethod
    def refresh(self, connection: sa.Connection, tables: list[sa.Table]) -> None:
        """Bring what the database knows of its tables, to plan queries by, up to date."""

    def said(self, text: str) -> str:
        """The part of an error that is told: its first line, which names neither statements nor values."""
        return text.splitlines()[0]

    def moment(self, value: datetime) -> Any:
        """`value` as it is compared with a column of moments."""
        return value.astimezone(UTC).replace(tzinfo=None)

    def day(self, value: date) -> Any:
        return value

    def text(self, value: str) -> str:
        """`value` as a column of texts holds it."""
        return value

    def same(self, column: sa.ColumnElement[str], text: sa.BindParameter[str]) -> sa.ColumnElement[bool]:
        """Whether a column is exactly some text."""
        return column == text

    def one_of(self, column: sa.ColumnElement[str], name: str) -> sa.ColumnElement[bool]:
        """Whether a column is exactly one of the texts of the parameter `name` (`name`_bytes: as UTF-8)."""
        return column.in_(sa.bindparam(name, expanding=True))

    def insert(self, connection: sa.Connection, table: sa.Table, rows: pa.Table) -> None:
        """Add `rows`, whose columns are those of `table`, in the quickest way there is."""
        quote = connection.dialect.identifier_preparer
        names = ", ".join(quote.quote(name) for name in rows.column_names)
        mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
        statement = (
            f"INSERT INTO {quote.format_table(table)} ({names})"
            f" VALUES ({', '.join([mark] * rows.num_columns)})"
        )
        for start in range(0, rows.num_rows, ROWS_AT_ONCE):
            part = rows.slice(start, ROWS_AT_ONCE)
            columns = [plain(column).to_pylist() for column in part.columns]
            connection.exec_driver_sql(statement, list(zip(*columns, strict=True)))

    def column(self, values: list[Any], kind: pa.DataType) -> pa.Array:
        """The values of a column, as they were read, as Arrow."""
        return pa.array(values, kind)

    def values(self, values: list[Any], kind: pa.DataType) -> list[Any]:
        """The same as Python has them."""
        found: list[Any] = self.column(values, kind).to_pylist()
        return found


class ServerDialect(Dialect):
    """A database behind a network, reached through a pool of connections."""

    driver: str
    """SQLAlchemy's name of the dialect and its driver."""
    package: str
    extra: str

    def __init__(self, settings: Postgresql | Mysql) -> None:
        self.settings = settings
        self.url = settings.place()
        self.secret = settings.password
        self.patience = settings.timeout_seconds
        self.writes = {"isolation_level": "READ COMMITTED"}

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """What the driver is given for each connection, beside who connects to what."""

    @abstractmethod
    def waiting(self, driver: Any, seconds: float | None) -> AbstractContextManager[None]:
        """Wait so long for each answer on a connection of the driver; None: for ever."""

    def engine(self) -> sa.Engine:
        try:
            import_module(self.package)
        except ImportError:
            raise UsageError(
                f"{self.name} needs a driver that is not installed: pip install 'issuelake[{self.extra}]'."
            ) from None
        settings = self.settings
        patience = settings.timeout_seconds * _PING
        url = sa.URL.create(
            self.driver,
            settings.username,
            settings.password,
            settings.host,
            settings.port,
            settings.database,
        )
        engine = sa.create_engine(
            url,
            connect_args=self.arguments(),
            pool_size=settings.connection_pool_size,
            pool_timeout=settings.timeout_seconds,
        )

        # SQLAlchemy's own `pool_pre_ping` waits for as long as for any answer: a connection that broke in
        # silence would take all the time that a caller has.
        @sa.event.listens_for(engine, "checkout")
        def still_there(driver: Any, record: Any, _: Any) -> None:
            if "used" not in record.info:  # which is emptied for a new connection
                record.info["used"] = True
                return
            try:
                with self.waiting(driver, patience):
                    engine.dialect.do_ping(driver)
            except engine.dialect.loaded_dbapi.Error:
                raise sa.exc.InvalidatePoolError from None

        return engine


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Moments and days as texts, in UTC, which drivers hand on as they are."""
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us")).cast(pa.string())
    return pc.cast(column, pa.string()) if pa.types.is_date(column.type) else column
