"""PostgreSQL, through psycopg 3."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import sqlalchemy as sa

from resources.backends.sql.dialect import ROWS_AT_ONCE, ServerDialect
from resources.backends.sql.settings import Postgresql

_PASSING = frozenset({"40001", "40P01", "23505", "42P07"})
"""Not serializable, deadlock, stored meanwhile, made meanwhile."""

_NUL, _MARK = "\0", "\ue000"
"""No text of PostgreSQL holds NUL: it is kept as the mark and 0, the mark itself as the mark and 1."""


class PostgresqlDialect(ServerDialect):
    name = "postgresql"
    driver = "postgresql+psycopg"
    package = "psycopg"
    extra = "postgres"

    def __init__(self, settings: Postgresql) -> None:
        super().__init__(settings)
        self.reads = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._ssl_mode = settings.ssl_mode or ("verify-full" if settings.ssl_ca else "prefer")

    def engine(self) -> sa.Engine:
        engine = super().engine()
        from resources.backends.sql.patience import connect

        @sa.event.listens_for(engine, "do_connect")
        def patiently(_: Any, __: Any, arguments: list[Any], named: dict[str, Any]) -> Any:
            return connect(self.settings.timeout_seconds, *arguments, **named)

        return engine

    def arguments(self) -> dict[str, Any]:
        milliseconds = round(self.settings.timeout_seconds * 1000)
        arguments: dict[str, Any] = {
            "connect_timeout": max(1, round(self.settings.timeout_seconds)),
            "tcp_user_timeout": milliseconds,
            "keepalives_idle": max(1, round(self.settings.timeout_seconds)),
            "sslmode": self._ssl_mode,
            "options": f"-c timezone=UTC -c lock_timeout={milliseconds}",
            "application_name": "issuelake",
        }
        if self.settings.ssl_ca:
            arguments["sslrootcert"] = self.settings.ssl_ca
        return arguments

    @contextmanager
    def alone(self, connection: sa.Connection, name: str) -> Iterator[None]:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(name))))
        with self.waiting(connection.connection.driver_connection, None):  # for an index of a large table
            yield  # the lock goes with the transaction

    @contextmanager
    def waiting(self, driver: Any, seconds: float | None) -> Iterator[None]:
        before, driver.patience = driver.patience, seconds
        try:
            yield
        finally:
            driver.patience = before

    def passing(self, error: Any) -> bool:
        return getattr(error, "sqlstate", None) in _PASSING

    def said(self, text: str) -> str:
        # A name can stand for several addresses; why the first failed tells more than why the last did.
        attempts = [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- host: ")]
        return "; ".join(attempts) or super().said(text)

    def refresh(self, connection: sa.Connection, tables: list[sa.Table]) -> None:
        quote = connection.dialect.identifier_preparer
        connection.exec_driver_sql(f"ANALYZE {', '.join(map(quote.format_table, tables))}")

    def moment(self, value: datetime) -> datetime:
        return value

    def text(self, value: str) -> str:
        return value.replace(_MARK, f"{_MARK}1").replace(_NUL, f"{_MARK}0")

    def insert(self, connection: sa.Connection, table: sa.Table, rows: pa.Table) -> None:
        quote = connection.dialect.identifier_preparer
        names = ", ".join(quote.quote(name) for name in rows.column_names)
        options = pyarrow.csv.WriteOptions(include_header=False)
        driver: Any = connection.connection.driver_connection
        # In CSV a null is nothing, and a text stands in quotes.
        with (
            driver.cursor() as cursor,
            cursor.copy(f"COPY {quote.format_table(table)} ({names}) FROM STDIN (FORMAT csv)") as copy,
        ):
            for start in range(0, rows.num_rows, ROWS_AT_ONCE):
                part = rows.slice(start, ROWS_AT_ONCE)
                columns = [_encoded(column) for column in part.columns]
                buffer = io.BytesIO()
                pyarrow.csv.write_csv(pa.table(columns, part.column_names), buffer, options)
                copy.write(buffer.getbuffer())

    def column(self, values: list[Any], kind: pa.DataType) -> pa.Array:
        column = pa.array(values, kind)
        if pa.types.is_string(kind) and pc.any(pc.match_substring(column, _MARK)).as_py():
            nul = pc.replace_substring(column, f"{_MARK}0", _NUL)
            return pc.replace_substring(nul, f"{_MARK}1", _MARK)
        return column

    def values(self, values: list[Any], kind: pa.DataType) -> list[Any]:
        if pa.types.is_string(kind):
            return [_decoded(value) if value is not None and _MARK in value else value for value in values]
        return values


def _decoded(text: str) -> str:
    """What `PostgresqlDialect.text` was given."""
    return text.replace(f"{_MARK}0", _NUL).replace(f"{_MARK}1", _MARK)


def _encoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts as `PostgresqlDialect.text` would have them."""
    if not pa.types.is_string(column.type):
        return column
    for character, written in ((_MARK, f"{_MARK}1"), (_NUL, f"{_MARK}0")):
        if pc.any(pc.match_substring(column, character)).as_py():
            column = pc.replace_substring(column, character, written)
    return column
