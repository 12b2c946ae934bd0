"""Work that somebody waits for with a clock in hand, and may give up because it takes too long.

Nobody can cut a call short, so it goes on in a thread that no one waits for. It can ask whether it is
still wanted, and tell that the storage is getting on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import ContextVar, copy_context
from typing import TypeVar

from resources.errors import StorageError

T = TypeVar("T")

ATTENDED: ContextVar[bool] = ContextVar("attended", default=False)
"""Whether somebody waits for what runs here with a clock in hand."""


class Waiting:
    """What somebody who waits knows of the work, and the work of them."""

    def __init__(self) -> None:
        self.given_up = threading.Event()
        self.heard: float | None = None
        """When the backend said something last (`time.monotonic`); None where it does not tell."""


_WAITING: ContextVar[Waiting | None] = ContextVar("waiting", default=None)
"""Of the work of the current thread; None where nobody would give it up."""


def begin(work: Callable[[], T], waiting: Waiting | None = None) -> Future[T]:
    """`work` in a thread of its own, which ends with it and does not keep the process from ending.

    It cannot be cancelled: it has begun.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        ATTENDED.set(True)
        if waiting is not None:
            _WAITING.set(waiting)
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    # Not of a pool: the interpreter waits for those when it ends.
    threading.Thread(target=copy_context().run, args=(run,), name="issuelake-deadline", daemon=True).start()
    return future


def within(seconds: float | None, work: Callable[[], T]) -> T:
    """What `work` answers. Raises `TimeoutError` after `seconds`; None waits for ever."""
    if seconds is None:
        return work()
    waiting = Waiting()
    call = begin(work, waiting)
    if not wait([call], seconds).done:
        waiting.given_up.set()
        raise TimeoutError(f"no answer within {seconds:g} s (timeout_seconds)")
    return call.result()


def still_wanted() -> None:
    """Raises `StorageError` where nobody waits for this call any more.

    Another backend has the runs by then, perhaps newer versions of them, or they were deleted. So a
    writer asks this after it has taken the moment of storing: one that wakes up late must not
    store what is old as the latest.
    """
    somebody = _WAITING.get()
    if somebody is not None and somebody.given_up.is_set():
        raise StorageError("The call took too long and was given up; another backend was asked.")


def heard() -> None:
    """The backend has just said something, so that a read that takes long goes on.

    Only for work whose every step says so within `timeout_seconds`.
    """
    somebody = _WAITING.get()
    if somebody is not None:
        somebody.heard = time.monotonic()
