"""Calls that may hang, in threads that can be left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from resources.deadline import Waiting, waiting
from resources.errors import StorageError

T = TypeVar("T")


class Call(Generic[T]):
    """`work`, begun in a thread of its own. A thread that hangs does not keep the process from ending."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._answer: list[T] = []
        self._error: BaseException | None = None
        self._done = threading.Event()
        self._waiting = Waiting()
        threading.Thread(target=self._run, name="issuelake-call", daemon=True).start()

    def done(self, seconds: float) -> bool:
        """Whether it has ended, after at most `seconds`."""
        return self._done.wait(max(seconds, 0.0))

    def give_up(self) -> None:
        """Nobody waits for it any more: it must store nothing that it has not begun to store."""
        self._waiting.given_up.set()

    @property
    def silent(self) -> float | None:
        """Seconds since the backend said something; None where it does not tell."""
        heard = self._waiting.heard
        return None if heard is None else time.monotonic() - heard

    def result(self) -> T:
        """What `work` answered or raised; only once it is `done`."""
        if self._error is not None:
            raise self._error
        return self._answer[0]

    def _run(self) -> None:
        waiting.set(self._waiting)
        try:
            self._answer.append(self._work())
        except BaseException as error:  # whoever waits raises it
            self._error = error
        finally:
            self._done.set()


def within(seconds: float, work: Callable[[], T], what: str) -> T:
    """What `work` answers. Raises `StorageError` when that takes longer than `seconds`."""
    call = Call(work)
    if not call.done(seconds):
        call.give_up()
        raise overdue(what, seconds)
    return call.result()


def overdue(what: str, seconds: float) -> StorageError:
    """The error that says that `what` took longer than `seconds`."""
    return StorageError(f"{what} gave no answer within {seconds:g} s (timeout_seconds).")
