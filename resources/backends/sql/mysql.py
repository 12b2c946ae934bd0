"""MySQL and MariaDB, through PyMySQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from resources.backends.sql.dialect import Dialect
from resources.backends.sql.settings import Mysql
from resources.errors import ConfigError

_PASSING = frozenset({1020, 1050, 1061, 1062, 1205, 1213, 1684})
"""Changed meanwhile, made meanwhile, stored meanwhile, waited too long, deadlock, being made."""


class MysqlDialect(Dialect):
    name = "mysql"
    reads = {"isolation_level": "REPEATABLE READ"}  # noqa: RUF012
    writes = {"isolation_level": "READ COMMITTED"}  # noqa: RUF012

    def __init__(self, settings: Mysql) -> None:
        self._settings = settings
        self.url = settings.place()
        self.secret = settings.password

    def engine(self) -> sa.Engine:
        try:
            import pymysql  # noqa: F401
        except ImportError:
            raise ConfigError("mysql needs a driver: pip install 'issuelake[mysql]'.") from None
        settings = self._settings
        seconds = settings.timeout_seconds
        arguments: dict[str, Any] = {
            "connect_timeout": max(1, round(seconds)),
            "read_timeout": seconds,
            "write_timeout": seconds,
            # Refuse what does not fit, where the server would cut it off.
            "init_command": "SET SESSION sql_mode = 'TRADITIONAL'",
        }
        if settings.ssl_ca:
            arguments |= {"ssl_ca": settings.ssl_ca, "ssl_verify_cert": True, "ssl_verify_identity": True}
        return sa.create_engine(
            sa.URL.create(
                "mysql+pymysql",
                settings.username,
                settings.password,
                settings.host,
                settings.port,
                settings.database,
                {"charset": "utf8mb4"},
            ),
            connect_args=arguments,
            pool_size=settings.connection_pool_size,
            pool_timeout=seconds,
            pool_pre_ping=True,
        )

    @contextmanager
    def alone(self, connection: sa.Connection, name: str) -> Iterator[None]:
        connection.execute(sa.select(sa.func.get_lock(name, self._settings.timeout_seconds)))
        try:
            yield
        finally:
            connection.execute(sa.select(sa.func.release_lock(name)))

    def passing(self, error: Any) -> bool:
        return bool(error.args) and error.args[0] in _PASSING

    def refresh(self, connection: sa.Connection, tables: list[sa.Table]) -> None:
        quote = connection.dialect.identifier_preparer
        connection.exec_driver_sql(f"ANALYZE TABLE {', '.join(map(quote.format_table, tables))}")
