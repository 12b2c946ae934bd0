"""Work that nobody may be waiting for any more, because its answer took too long."""

from __future__ import annotations

from contextvars import ContextVar
from threading import Event

from resources.errors import StorageError

given_up: ContextVar[Event | None] = ContextVar("given_up", default=None)
"""Set once nobody waits for what the current thread does; None where that cannot happen."""


def still_wanted() -> None:
    """Raises `StorageError` where nobody waits for this call any more.

    Another backend has the runs by then, perhaps newer versions of them, or they were deleted. So a
    writer asks this after it has taken the moment of storing: one that wakes up late must not
    store what is old as the latest.
    """
    event = given_up.get()
    if event is not None and event.is_set():
        raise StorageError("The call took too long and was given up; another backend was asked.")
