"""Files in a table, cut into parts that every server takes: what is neither run nor issue."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import sqlalchemy as sa

from resources.backends.sql.session import Session
from resources.errors import Vanished
from resources.files import Entry
from resources.files.fetched import Fetched

T = TypeVar("T")

PART_BYTES = 1024 * 1024


class TableFiles:
    """`resources.files.Files` in a table of a database."""

    key = None

    def __init__(self, session: Session) -> None:
        self.url = session.dialect.url
        self._session = session
        self._table = session.tables.files
        self._fetched = Fetched()

    def folders(self, path: str) -> list[str]:
        start = len(path) + 1 if path else 0
        below = {entry.path[start:].partition("/") for entry in self.find(path)}
        return sorted({name for name, slash, _ in below if slash})

    def find(self, path: str) -> list[Entry]:
        table = self._table
        query = (
            sa.select(table.c.path, sa.func.sum(sa.func.length(table.c.data)), sa.func.max(table.c.modified))
            .where(self._below(path))
            .group_by(table.c.path)
            .order_by(table.c.path)
        )
        rows = self._session.read(f"list {path or '.'} in", lambda c: c.execute(query).all())
        return [Entry(name, int(size), modified) for name, size, modified in rows]

    def list_many(self, paths: Sequence[str]) -> list[Entry]:
        return [e for path in paths for e in self.find(path) if e.path.rpartition("/")[0] == path]

    def read(self, path: str) -> bytes:
        table = self._table
        query = sa.select(table.c.data).where(table.c.path == path).order_by(table.c.part)
        parts = self._session.read(f"read {path} in", lambda c: c.scalars(query).all())
        if not parts:
            raise Vanished(f"{path} is not in {self.url}: list again")
        return b"".join(parts)

    def publish(self, path: str, data: bytes, renew: bool = False) -> None:
        table = self._table
        there = sa.select(sa.func.count()).where(table.c.path == path)

        def put(connection: sa.Connection) -> None:
            if renew or not connection.scalar(there):
                self.put(connection, path, data)

        self._session.write(f"write {path} to", put)

    def put(self, connection: sa.Connection, path: str, data: bytes) -> None:
        """Write the file, as part of the transaction of `connection`."""
        table = self._table
        now = time.time()
        connection.execute(table.delete().where(table.c.path == path))
        for part, start in enumerate(range(0, len(data) or 1, PART_BYTES)):
            row = {"path": path, "part": part, "data": data[start : start + PART_BYTES], "modified": now}
            connection.execute(table.insert(), row)

    def remove(self, path: str) -> None:
        statement = self._table.delete().where(self._table.c.path == path)
        self._session.write(f"remove {path} from", lambda c: c.execute(statement))

    def sweep(self, before: float) -> None:
        """Nothing to do: a transaction leaves nothing half written."""

    def paths(self, paths: Sequence[str]) -> list[str]:
        return self._fetched.names(paths, lambda missing: map(self.read, missing))

    def using(self, work: Callable[[], T]) -> T:
        return self._fetched.using(work)

    def _below(self, path: str) -> sa.ColumnElement[bool]:
        column = self._table.c.path
        # All that begins with `path/`: 0 is the character after the slash.
        return sa.and_(column >= f"{path}/", column < f"{path}0") if path else sa.true()
