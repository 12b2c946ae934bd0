"""MySQL and MariaDB, through PyMySQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from resources.backends.sql.dialect import ServerDialect
from resources.backends.sql.settings import Mysql

_PASSING = frozenset({1020, 1050, 1061, 1062, 1205, 1213, 1684})
"""Changed meanwhile, made meanwhile, stored meanwhile, waited too long, deadlock, being made."""


class MysqlDialect(ServerDialect):
    name = "mysql"
    driver = "mysql+pymysql"
    package = "pymysql"
    extra = "mysql"

    def __init__(self, settings: Mysql) -> None:
        super().__init__(settings)
        self.reads = {"isolation_level": "REPEATABLE READ"}

    def arguments(self) -> dict[str, Any]:
        seconds = self.settings.timeout_seconds
        arguments: dict[str, Any] = {
            "charset": "utf8mb4",
            "connect_timeout": max(1, round(seconds)),
            "read_timeout": seconds,
            "write_timeout": seconds,
            # Refuse what does not fit, where the server would cut it off.
            "init_command": "SET SESSION sql_mode = 'TRADITIONAL'",
        }
        if self.settings.ssl_ca:
            verified = {"ssl_verify_cert": True, "ssl_verify_identity": True}
            arguments |= {"ssl_ca": self.settings.ssl_ca, **verified}
        return arguments

    @contextmanager
    def alone(self, connection: sa.Connection, name: str) -> Iterator[None]:
        connection.execute(sa.select(sa.func.get_lock(name, self.settings.timeout_seconds)))
        try:
            yield
        finally:
            connection.execute(sa.select(sa.func.release_lock(name)))

    @contextmanager
    def waiting(self, driver: Any, seconds: float | None) -> Iterator[None]:
        before, driver._read_timeout = driver._read_timeout, seconds  # PyMySQL has no public way
        try:
            yield
        finally:
            driver._read_timeout = before

    # The server thinks nothing of spaces at the end; an index answers only if it may.

    def same(self, column: sa.ColumnElement[str], text: sa.BindParameter[str]) -> sa.ColumnElement[bool]:
        exactly = sa.cast(column, sa.BINARY) == sa.cast(text, sa.BINARY)
        return sa.and_(super().same(column, text), exactly)

    def one_of(self, column: sa.ColumnElement[str], name: str) -> sa.ColumnElement[bool]:
        exactly = sa.cast(column, sa.BINARY).in_(sa.bindparam(f"{name}_bytes", expanding=True))
        return sa.and_(super().one_of(column, name), exactly)

    def passing(self, error: Any) -> bool:
        return bool(error.args) and error.args[0] in _PASSING

    def refresh(self, connection: sa.Connection, tables: list[sa.Table]) -> None:
        quote = connection.dialect.identifier_preparer
        connection.exec_driver_sql(f"ANALYZE TABLE {', '.join(map(quote.format_table, tables))}")
