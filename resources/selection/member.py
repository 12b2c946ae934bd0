"""One backend of several: opened when it is first needed, asked within a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import wait
from typing import TypeVar

from resources.backend import Backend
from resources.backends.settings import DEADLINE, Settings
from resources.deadline import Waiting, begin, within
from resources.errors import IssuelakeError, QueryError, StorageError
from resources.files import Files
from resources.health import Health
from resources.secrets import scrubbed, told
from resources.selection.standing import Standing

T = TypeVar("T")

_GLANCE = 0.25
"""Of the deadline: as long as whoever is about to use a backend looks whether it is back."""

_SLOWEST = 1024 * 1024
"""Bytes a second at least: a large batch has so much more time than a small one."""


class Member:
    """The backend `name`. Everything that is raised is an `IssuelakeError` without secrets."""

    def __init__(
        self,
        name: str,
        configured_as: str,
        settings: Settings,
        notes: Callable[[], Files],
        prepare: Callable[[Backend], object] | None = None,
    ) -> None:
        self.name = name
        self.configured_as = configured_as
        """The key of `storage_config` that it stands under."""
        self.settings = settings
        self._notes = notes
        self._prepare = prepare
        self._standing: Standing | None = None
        self._backend: Backend | None = None
        self._lock = threading.Lock()
        self._opening = threading.Lock()

    @property
    def place(self) -> str:
        return self.settings.place()

    @property
    def deadline(self) -> float:
        """Seconds. Where others stand by, even a local folder has one."""
        return self.settings.timeout_seconds or DEADLINE

    @property
    def standing(self) -> Standing:
        with self._lock:
            if self._standing is None:
                self._standing = Standing(self.name, self.settings.health_check_interval, self._notes())
            return self._standing

    def backend(self) -> Backend:
        with self._lock:
            if self._backend is not None:
                return self._backend
            opening = self._opening
        with opening:  # which may hang, so nothing else may wait for it
            if opening is self._opening and self._backend is not None:
                return self._backend
            backend = self.settings.open()
            backend.name = self.name
            if self._prepare is not None:
                self._prepare(backend)
            with self._lock:
                if opening is self._opening:
                    self._backend = backend
            return backend

    def ready(self) -> bool:
        """Whether it may be read, as far as is known; looks where nobody knows any more."""
        standing = self.standing
        return standing.may_be_read() or (standing.may_be_looked_at() and self.glance().healthy)

    def refused(self, reason: str, seconds: float) -> None:
        """It has not stored what it was given, and took `seconds` to fail."""
        # What hangs in a write will hang in a read too.
        self.standing.failed(reason, readable=seconds < self.deadline / 2)

    def look(self) -> Health:
        """Is it well? A real round trip within the deadline, which the breaker learns of."""
        return self._look(self.deadline)

    def glance(self) -> Health:
        """The same within a part of the deadline: what is asked of it next has a deadline of its own."""
        return self._look(self.deadline * _GLANCE)

    def _look(self, seconds: float) -> Health:
        health = self.check(seconds)
        if health.healthy:
            self.standing.succeeded()
        else:
            # What hangs here will hang in a read too.
            self.standing.failed(health.error or "", readable=health.latency_ms / 1000 < seconds / 2)
        return health

    def check(self, seconds: float | None = None) -> Health:
        """Is it well? A real round trip within so many seconds, or else within the deadline."""
        started = time.perf_counter()
        patience = seconds or self.deadline
        try:
            health = within(patience, lambda: self.backend().check())
        except Exception as error:  # it hangs, its driver is missing, or somebody else's code fails
            if isinstance(error, TimeoutError):
                error = self._overdue(patience)
            reason = str(error) if isinstance(error, IssuelakeError) else told(error, frozenset())
            spent = round((time.perf_counter() - started) * 1000, 3)
            health = Health(False, spent, reason)
        if health.error is None:
            return health
        self._forget()
        return Health(False, health.latency_ms, scrubbed(health.error, self.settings))

    def ask(self, work: Callable[[Backend], T], size: int = 0) -> T:
        """What `work` answers, given the backend, within the deadline for `size` bytes.

        Raises `StorageError` for whatever another backend may not fail at; a `QueryError` is not of
        that kind. What hangs goes on in its thread, which is why whatever is asked for may happen twice.
        """
        seconds = self.deadline + size / _SLOWEST
        try:
            return self._told(lambda: within(seconds, lambda: work(self.backend())))
        except TimeoutError:
            self._forget()
            raise self._overdue(seconds) from None

    def read(self, read: Callable[[Backend, Callable[[], None]], T]) -> T:
        """What `read` answers, given the backend and a function to call when all has been fetched.

        Reading may take its time, as long as the backend goes on saying something, or answers a round trip
        meanwhile where it does not tell (`resources.deadline.heard`). From the moment that all has been
        fetched nobody waits for the backend, so nothing is given up any more.
        """
        return self._told(lambda: self._watched(read))

    def _watched(self, read: Callable[[Backend, Callable[[], None]], T]) -> T:
        decided = threading.Lock()
        fetched = left = False

        def all_fetched() -> None:
            nonlocal fetched
            with decided:
                if left:  # somebody else reads by now
                    raise self._overdue(self.deadline)
                fetched = True

        waiting = Waiting()
        call = begin(lambda: read(self.backend(), all_fetched), waiting)
        half = self.deadline / 2

        def silent() -> float | None:
            return None if waiting.heard is None else time.monotonic() - waiting.heard

        def patience() -> float:
            quiet = silent()
            return half if fetched or quiet is None else max(self.deadline - quiet, 0.0)

        while not wait([call], patience()).done:
            quiet = silent()
            answers = quiet < self.deadline if quiet is not None else self._answers(half)
            if fetched or answers or call.done():
                continue
            with decided:
                left = not fetched
            if left:
                raise self._overdue(self.deadline)
        return call.result()

    def _answers(self, seconds: float) -> bool:
        """Whether a round trip goes well within `seconds`."""
        try:
            return within(seconds, lambda: self.backend().check()).healthy
        except Exception:  # as when it cannot be opened anew, or hangs
            return False

    def _overdue(self, seconds: float) -> StorageError:
        return StorageError(f"{self.name} gave no answer within {seconds:g} s (timeout_seconds).")

    def _told(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except QueryError:
            raise
        except IssuelakeError as error:
            self._forget()
            kind = type(error) if isinstance(error, StorageError) else StorageError
            raise kind(scrubbed(str(error), self.settings)) from error

    def _forget(self) -> None:
        """Open it anew next time: what failed may be gone for good, and who opens it may hang."""
        with self._lock:
            self._backend = None
            self._opening = threading.Lock()
