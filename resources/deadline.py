"""Calls that nobody can cut short, given up all the same: they go on in a thread that no one waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import ContextVar, copy_context
from typing import TypeVar

T = TypeVar("T")

ATTENDED: ContextVar[bool] = ContextVar("attended", default=False)
"""Whether somebody waits for what runs here with a clock in hand."""


def begin(work: Callable[[], T]) -> Future[T]:
    """`work` in a thread of its own, which ends with it and does not keep the process from ending."""
    future: Future[T] = Future()

    def run() -> None:
        ATTENDED.set(True)
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
    call = begin(work)
    if not wait([call], seconds).done:
        raise TimeoutError(f"no answer within {seconds:g} s (timeout_seconds)")
    return call.result()
