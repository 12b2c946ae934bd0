"""Work that somebody waits for, and who may give it up because it takes too long."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar

from resources.errors import StorageError


class Waiting:
    """What somebody who waits knows of the work, and the work of them."""

    def __init__(self) -> None:
        self.given_up = threading.Event()
        self.heard: float | None = None
        """When the backend said something last (`time.monotonic`); None where it does not tell."""


waiting: ContextVar[Waiting | None] = ContextVar("waiting", default=None)
"""Of the work of the current thread; None where nobody would give it up."""


def still_wanted() -> None:
    """Raises `StorageError` where nobody waits for this call any more.

    Another backend has the runs by then, perhaps newer versions of them, or they were deleted. So a
    writer asks this after it has taken the moment of storing: one that wakes up late must not
    store what is old as the latest.
    """
    somebody = waiting.get()
    if somebody is not None and somebody.given_up.is_set():
        raise StorageError("The call took too long and was given up; another backend was asked.")


def heard() -> None:
    """The backend has just said something, so that a read that takes long goes on.

    Only for work whose every step says so within `timeout_seconds`.
    """
    somebody = waiting.get()
    if somebody is not None:
        somebody.heard = time.monotonic()
