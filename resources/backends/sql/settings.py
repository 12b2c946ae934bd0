"""The keys of the databases. What opens them is imported when one is opened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from resources.backends.settings import Seconds, Settings

if TYPE_CHECKING:
    from resources.backends.sql.database import Database

DEFAULT_TABLE = "validation_issues"


class _Sql(Settings, kw_only=True):
    """What every database takes."""

    table_name: str = DEFAULT_TABLE
    priority: int = 2
    timeout_seconds: Seconds = 30.0


class Sqlite(_Sql, kw_only=True):
    """A database in one file."""

    database_path: str = "issues.db"
    connection_timeout: float = 30.0
    """Seconds to wait for another writer."""
    journal_mode: Literal["WAL", "DELETE", "TRUNCATE", "PERSIST", "MEMORY", "OFF"] = "WAL"
    synchronous: Literal["OFF", "NORMAL", "FULL", "EXTRA"] = "NORMAL"

    def place(self) -> str:
        return os.path.abspath(os.path.expanduser(self.database_path))

    def open(self) -> Database:
        from resources.backends.sql.database import Database
        from resources.backends.sql.sqlite import SqliteDialect

        return Database(SqliteDialect(self), self)


class _Server(_Sql, kw_only=True):
    """A database behind a network."""

    host: str = "localhost"
    username: str
    password: str = ""
    ssl_ca: str | None = None
    connection_pool_size: int = 5


class Postgresql(_Server, kw_only=True):
    """A database on a PostgreSQL server."""

    port: int = 5432
    database: str = "plugpipe"
    ssl_mode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = None
    """`verify-full` where `ssl_ca` is given, else `prefer`."""

    def place(self) -> str:
        return f"postgresql://{self.host}:{self.port}/{self.database}"

    def open(self) -> Database:
        from resources.backends.sql.database import Database
        from resources.backends.sql.postgresql import PostgresqlDialect

        return Database(PostgresqlDialect(self), self)


class Mysql(_Server, kw_only=True):
    """A database on a MySQL or MariaDB server."""

    port: int = 3306
    database: str

    def place(self) -> str:
        return f"mysql://{self.host}:{self.port}/{self.database}"

    def open(self) -> Database:
        from resources.backends.sql.database import Database
        from resources.backends.sql.mysql import MysqlDialect

        return Database(MysqlDialect(self), self)
