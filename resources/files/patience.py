"""Waiting for a storage as long as it shows signs of life."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

from resources.deadline import ATTENDED, begin
from resources.errors import StorageError

T = TypeVar("T")


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
        if ATTENDED.get():
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
