"""Transactions of a database: tried again where they may go through, and errors in one's own words."""

from __future__ import annotations

import random
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa

from resources.backends.sql.dialect import Dialect
from resources.backends.sql.tables import VERSION as CURRENT
from resources.backends.sql.tables import Tables, bring_up_to_date, version
from resources.deadline import heard
from resources.errors import StorageError
from resources.secrets import hide, secrets_in

T = TypeVar("T")

ATTEMPTS = 30
_LONGEST_PAUSE = 0.5


class Session:
    """The way to the tables, which are made when they are first needed."""

    def __init__(self, dialect: Dialect, tables: Tables) -> None:
        self.dialect = dialect
        self.tables = tables
        self._engine = dialect.engine()
        weakref.finalize(self, self._engine.dispose)
        self._ready = False
        self._making = threading.Lock()

    def read(self, verb: str, work: Callable[[sa.Connection], T]) -> T:
        """What `work` answers, all of whose reads see one moment. Raises `StorageError`."""
        return self._transaction(verb, self.dialect.reads, work)

    def write(self, verb: str, work: Callable[[sa.Connection], T]) -> T:
        """What `work` answers, all of it or nothing written. `work` may be called again.

        Raises `StorageError`.
        """
        return self._transaction(verb, self.dialect.writes, work)

    def _transaction(self, verb: str, options: dict[str, Any], work: Callable[[sa.Connection], T]) -> T:
        heard()
        give_up = time.monotonic() + self.dialect.patience
        for attempt in range(ATTEMPTS):
            try:
                self._make_ready()
                return self._once(options, work)
            except (sa.exc.SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
                cause = getattr(error, "orig", None) or error
                last = attempt + 1 == ATTEMPTS or time.monotonic() > give_up
                if last or not self.dialect.passing(cause):
                    raise StorageError(f"Could not {verb} {self.dialect.url}: {self._said(cause)}") from None
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.01 * 2**attempt)))
        raise AssertionError("the last attempt answers or raises")

    def _once(self, options: dict[str, Any], work: Callable[[sa.Connection], T]) -> T:
        with self._engine.connect().execution_options(**options) as connection, connection.begin():
            return work(connection)

    def _make_ready(self) -> None:
        with self._making:
            if self._ready:
                return
            # Looked at first: somebody who may only read can do so.
            if self._once(self.dialect.reads, lambda c: version(c, self.tables)) != CURRENT:
                self._once(self.dialect.writes, self._make)
            self._ready = True

    def _make(self, connection: sa.Connection) -> None:
        with self.dialect.alone(connection, self.tables.meta.name):
            bring_up_to_date(connection, self.tables)

    def _said(self, cause: BaseException) -> str:
        number = f"{cause.args[0]}: " if cause.args and isinstance(cause.args[0], int) else ""
        text = str(cause.args[-1] if number else cause).strip() or type(cause).__name__
        line = hide(self.dialect.said(text).rstrip("."), secrets_in({"password": self.dialect.secret}))
        return f"{number}{line}. Look at its keys under storage_config and at the server, and try again."
