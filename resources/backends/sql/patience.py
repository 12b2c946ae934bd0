"""A connection to PostgreSQL that does not wait for ever for a server that says nothing.

libpq has no limit for that: a server that is frozen, or one that vanished while it worked, keeps whoever
waits for its answer for hours.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import psycopg

_LOOKS_EVERY = 0.05
"""Seconds."""


class _Connection(psycopg.Connection[Any]):
    seconds: float

    def wait(self, gen: Any, interval: float = _LOOKS_EVERY, *others: Any, **more: Any) -> Any:
        return super().wait(self._patiently(gen), min(interval, _LOOKS_EVERY), *others, **more)

    def _patiently(self, work: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """`work`, which is resumed with what the connection is ready for, or with 0 now and then."""
        try:
            wanted = next(work)
            heard = time.monotonic()
            while True:
                ready = yield wanted
                if ready:
                    heard = time.monotonic()
                elif time.monotonic() - heard > self.seconds:
                    self.pgconn.finish()  # what it may still say belongs to nothing
                    raise psycopg.OperationalError(f"no answer within {self.seconds:g} s (timeout_seconds)")
                wanted = work.send(ready)
        except StopIteration as end:
            return end.value


def connect(seconds: float, *arguments: Any, **keys: Any) -> psycopg.Connection[Any]:
    """As `psycopg.connect`; an answer that does not begin within `seconds` is an `OperationalError`."""
    connection = _Connection.connect(*arguments, **keys)
    connection.seconds = seconds
    return connection
