"""The tables of a database, derived from `resources.schema`, and how they come to be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql

from resources import schema
from resources.errors import ConfigError, StorageError
from resources.schema import Column

VERSION = 2
"""Of the tables. Raise it where they change: an older database is brought up to date when it is opened."""

INDEXED_CHARACTERS = 191
"""Of a text, at most: what an index takes on every server, whatever the characters."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")

_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
_BYTES = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
_HASH = sa.String(32)
_PATH = sa.String(512).with_variant(postgresql.VARCHAR(512, collation="C"), "postgresql")
_TYPES: dict[str, Any] = {
    "string": _TEXT,
    "json": _TEXT,
    # SQLite has no moments: it keeps them as texts that sort as they do, in UTC.
    "timestamp": sa.DateTime(timezone=True)
    .with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    .with_variant(sa.Text(), "sqlite"),
    "int16": sa.SmallInteger(),
    "int32": sa.Integer(),
    "date": sa.Date().with_variant(sa.Text(), "sqlite"),
}
_SHORT = {
    "change_type": sa.String(16),
    "severity": sa.String(16),
    "content_hash": _HASH,
    "fingerprint": _HASH,
    "batch_id": _HASH,
}

RUN_KEY = "run_key"
"""Stands for a run id, which may be longer than a key can be: its SHA-256, first 128 bits, hex."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one `table_name`."""

    metadata: sa.MetaData
    runs: sa.Table
    issues: sa.Table
    files: sa.Table
    deletions: sa.Table
    meta: sa.Table


def tables(name: str, dialect: str) -> Tables:
    """The tables that `name` begins. Raises `ConfigError` for a name that is not safe everywhere."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"table_name is {name!r}; give at most 40 letters, digits and underscores, no digit first."
        )
    metadata = sa.MetaData()

    def table(kind: str, *columns: Any) -> sa.Table:
        return sa.Table(
            f"{name}_{kind}",
            metadata,
            *columns,
            mysql_engine="InnoDB",
            mysql_charset="utf8mb4",
            mysql_collate="utf8mb4_bin",
        )

    runs = table("runs", sa.Column(RUN_KEY, _HASH, primary_key=True), *_columns(schema.RUNS))
    issues = table(
        "issues",
        sa.Column(RUN_KEY, _HASH, primary_key=True),
        *(
            sa.Column("issue_index", sa.Integer, primary_key=True, autoincrement=False)
            if c.name == "issue_index"
            else c
            for c in _columns(schema.ISSUES)
        ),
    )
    for of in (runs, issues):
        sa.Index(f"{of.name}_moment", of.c.run_date, of.c.timestamp)
        _text_index(of, dialect, "validation_run_id")
        _text_index(of, dialect, "target_plugin", of.c.timestamp)
    sa.Index(f"{issues.name}_fingerprint", issues.c.fingerprint)
    sa.Index(f"{issues.name}_severity", issues.c.severity)
    files = table(
        "files",
        sa.Column("path", _PATH, primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("data", _BYTES, nullable=False),
        sa.Column("modified", sa.Double, nullable=False),
    )
    deletions = table(
        "deletions",
        sa.Column("audit_id", _HASH, primary_key=True),
        sa.Column("deleted_at", _TYPES["timestamp"], nullable=False),
        sa.Column("actor", _TEXT, nullable=False),
        sa.Column("query", _TEXT),
        sa.Column("runs_deleted", sa.Integer, nullable=False),
        sa.Column("issues_deleted", sa.Integer),
    )
    meta = table(
        "meta", sa.Column("name", sa.String(32), primary_key=True), sa.Column("value", _TEXT, nullable=False)
    )
    return Tables(metadata, runs, issues, files, deletions, meta)


def _columns(columns: tuple[Column, ...]) -> list[sa.Column[Any]]:
    return [
        sa.Column(c.name, _SHORT.get(c.name, _TYPES[c.type]), nullable=c.nullable)
        for c in (*columns, schema.RUN_DATE)
    ]


def indexed(column: sa.ColumnElement[str], dialect: str) -> sa.ColumnElement[str]:
    """What of a column of long texts an index has."""
    return (
        sa.func.left(column, sa.literal_column(str(INDEXED_CHARACTERS)))
        if dialect == "postgresql"
        else column
    )


def _text_index(table: sa.Table, dialect: str, name: str, *others: sa.Column[Any]) -> None:
    sa.Index(
        f"{table.name}_{name}",
        indexed(table.c[name], dialect),
        *others,
        mysql_length={name: INDEXED_CHARACTERS},
    )


def version(connection: sa.Connection, of: Tables) -> int | None:
    """The version of the tables that are there; None where there are none."""
    if not sa.inspect(connection).has_table(of.meta.name):
        return None
    found = connection.scalar(sa.select(of.meta.c.value).where(of.meta.c.name == "schema_version"))
    return int(found or 0)


def bring_up_to_date(connection: sa.Connection, of: Tables) -> None:
    """Make the tables, columns and indexes that are missing; what is there stays.

    Raises `StorageError` for tables of a newer version than this program knows.
    """
    found = version(connection, of)
    if found == VERSION:
        return
    if found is not None and found > VERSION:
        raise StorageError(
            f"The tables {of.meta.name.removesuffix('meta')}* have version {found}, this program knows"
            f" {VERSION}: install a newer issuelake."
        )
    for table in of.metadata.sorted_tables:
        if sa.inspect(connection).has_table(table.name):
            _complete(connection, table)
        else:
            table.create(connection)
    connection.execute(of.meta.delete().where(of.meta.c.name == "schema_version"))
    connection.execute(of.meta.insert().values(name="schema_version", value=str(VERSION)))


def _complete(connection: sa.Connection, table: sa.Table) -> None:
    """Add the columns and indexes that an older version lacks."""
    inspector = sa.inspect(connection)
    there = {column["name"] for column in inspector.get_columns(table.name)}
    quote = connection.dialect.identifier_preparer
    for column in table.columns:
        if column.name not in there:
            kind = column.type.compile(connection.dialect)
            connection.exec_driver_sql(
                f"ALTER TABLE {quote.format_table(table)} ADD COLUMN {quote.format_column(column)} {kind}"
            )
    indexes = {index["name"] for index in inspector.get_indexes(table.name)}
    for index in table.indexes:
        if index.name not in indexes:
            index.create(connection)
