"""Calls that nobody can cut short, given up all the same: they go on in a thread that no one waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

from resources.errors import StorageError

T = TypeVar("T")

_ATTENDED: ContextVar[bool] = ContextVar("attended", default=False)
"""Whether somebody waits for what runs here with a clock in hand."""


def begin(work: Callable[[], T]) -> Future[T]:
    """`work` in a thread of its own, which ends with it and does not keep the process from ending."""
    future: Future[T] = Future()

    def run() -> None:
        _ATTENDED.set(True)
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    # Not of a pool: the interpreter waits for those when it ends.
    threading.Thread(target=copy_context().run, args=(run,), daemon=True).start()
    return future


def within(seconds: float | None, work: Callable[[], T]) -> T:
    """What `work` answers. Raises `TimeoutError` after `seconds`; None waits for ever."""
    if seconds is None:
        return work()
    call = begin(work)
    if not wait([call], seconds).done:
        raise TimeoutError(f"no answer within {seconds:g} s (timeout_seconds)")
    return call.result()


class Patience:
    """Waits for calls to a storage as long as it shows signs of life.

    A call that takes long is no reason to give it up, since a compaction does. So while one is
    under way the storage is asked something small that no cache can answer.
    """

    def __init__(self, url: str, ask: Callable[[], object], seconds: float) -> None:
        """`ask` raises `OSError` where the storage does not answer, or does not return."""
        self._url = url
        self._ask = ask
        self._seconds = seconds
        self._unanswered: Future[object] | None = None
        """What a storage was asked that seems to be gone."""

    def wait_for(self, work: Callable[[], T]) -> T:
        """What `work` answers. Raises `StorageError` when `seconds` have passed without an answer."""
        if _ATTENDED.get():
            return work()
        if (unanswered := self._unanswered) is not None:  # so calls to a dead server do not pile up
            self._first_of([unanswered])
            self._unanswered = None
        call = begin(work)
        while not wait([call], self._seconds / 2).done:
            self._unanswered = asked = begin(self._ask)
            done = self._first_of([asked, call])
            self._unanswered = None
            if call not in done and (error := asked.exception()) is not None:
                raise StorageError(f"{self._url} does not answer: {error}.") from error
        return call.result()

    def _first_of(self, calls: Sequence[Future[Any]]) -> set[Future[Any]]:
        """Those that have ended, when one has."""
        done = wait(calls, self._seconds / 2, FIRST_COMPLETED).done
        if not done:
            raise StorageError(
                f"{self._url} has not answered for {self._seconds:g} s (timeout_seconds): see that its server"
                " is up, and try again."
            )
        return done
