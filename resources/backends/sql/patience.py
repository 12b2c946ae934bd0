"""A connection to PostgreSQL that is given up where the server does not answer.

The server's own `statement_timeout` ends nothing on a network that swallows what is sent, and it would
end a long COPY that is getting on. So the wait for each answer is limited on this side, as the
drivers of the other databases do by themselves.
"""

from __future__ import annotations

from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout  # which it says must be made a public one

T = TypeVar("T")

_LOOK_AGAIN = 0.1
"""Seconds between looks for an interrupt from the keyboard."""


class _Cursor(psycopg.ServerCursor[Any]):
    """A server's cursor, of which nothing is left to close once its connection is."""

    def __del__(self) -> None:  # type: ignore[override]  # psycopg has an argument that nobody gives
        # SQLAlchemy closes no cursor of a connection that broke, and psycopg would warn of it.
        if not self.connection.closed:
            super().__del__()


class PatientConnection(psycopg.Connection[Any]):
    """Waits `patience` seconds for any one answer."""

    patience: float | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.server_cursor_factory = _Cursor

    def wait(self, gen: PQGen[T], interval: float = _LOOK_AGAIN, timeout: float | None = None) -> T:
        """Raises `OperationalError`, and is closed, where no answer came in time."""
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except _WaitTimeout:
            self.pgconn.finish()  # or a ROLLBACK would be waited for as long again
            raise psycopg.OperationalError(
                f"the server did not answer within {self.patience:g} s (timeout_seconds)"
            ) from None


def connect(patience: float, *arguments: Any, **named: Any) -> PatientConnection:
    """A connection; see `psycopg.connect` for the arguments."""
    connection: PatientConnection = PatientConnection.connect(*arguments, **named)
    connection.patience = patience
    return connection
