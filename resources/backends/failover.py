"""A storage that is whichever of several storages is well, the first of them if it can be."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, TypeVar

from resources.backend import BOTH, Backend, Pushdown
from resources.backends.settings import Settings
from resources.errors import IssuelakeError, StorageError
from resources.files import Files
from resources.health import Health

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from resources.lake.compact import Compacted
    from resources.lake.maintain import Maintained
    from resources.lake.marks import Audit, Deletion
    from resources.lake.write import Appended

T = TypeVar("T")


class _Member:
    """One of the storages, opened when it is first needed, and how it was when it was last looked at."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.health = Health(False, 0.0, "it was not asked yet")
        self.checked_at = float("-inf")
        self._backend: Backend | None = None
        self._lock = threading.Lock()

    def backend(self) -> Backend:
        with self._lock:
            if self._backend is None:
                self._backend = self.settings.open()
            return self._backend

    def limits(self, pushdown: Pushdown) -> bool:
        try:
            return self.backend().limits(pushdown)
        except IssuelakeError:  # it cannot be opened, so nothing will be asked of it
            return True

    def look(self) -> Health:
        """Is it well? A real round trip."""
        try:
            self.health = self.backend().check()
        except IssuelakeError as error:  # its driver is missing, say
            self.health = Health(False, 0.0, str(error))
        self.checked_at = time.monotonic()
        return self.health


class Failover(Backend):
    """Every call goes to the first of `members` that is well, as was found in the last `interval` seconds.

    A call that fails goes on to the next one where the storage turns out not to be well.
    """

    def __init__(self, members: Mapping[str, Settings], interval: float) -> None:
        self._members = [_Member(name, settings) for name, settings in members.items()]
        self._interval = interval

    @property
    def url(self) -> str:
        return self._well().settings.place()

    @property
    def files(self) -> Files:  # type: ignore[override]  # those of whichever is used
        return self._well().backend().files

    def append(self, runs: pa.Table, issues: pa.Table) -> Appended:
        return self._on(lambda backend: backend.append(runs, issues))

    def reading(
        self,
        work: Callable[[duckdb.DuckDBPyConnection], T],
        first: date | None = None,
        last: date | None = None,
        tables: Sequence[str] = BOTH,
        pushdown: Pushdown | None = None,
    ) -> T:
        return self._on(lambda backend: backend.reading(work, first, last, tables, pushdown))

    def limits(self, pushdown: Pushdown) -> bool:
        """Whichever of them it comes to."""
        return all(member.limits(pushdown) for member in self._members)

    def define_views(
        self,
        connection: duckdb.DuckDBPyConnection,
        first: date | None = None,
        last: date | None = None,
        tables: Sequence[str] = BOTH,
        pushdown: Pushdown | None = None,
    ) -> list[str]:
        return self._on(lambda backend: backend.define_views(connection, first, last, tables, pushdown))

    def days(self) -> list[date]:
        return self._on(lambda backend: backend.days())

    def delete(self, run_ids: Iterable[str], audit: Audit | None = None) -> str:
        ids = list(run_ids)
        return self._on(lambda backend: backend.delete(ids, audit))

    def deletions(self) -> list[Deletion]:
        return self._on(lambda backend: backend.deletions())

    def compact_day(self, day: date, grace: timedelta | None = None) -> Compacted:
        return self._on(lambda backend: backend.compact_day(day, grace))

    def maintain(
        self, grace: timedelta | None = None, on_day: Callable[[Compacted], None] | None = None
    ) -> Maintained:
        return self._on(lambda backend: backend.maintain(grace, on_day))

    def stored(self, days: Sequence[date], table: str) -> dict[date, tuple[int, int]]:
        return self._on(lambda backend: backend.stored(days, table))

    def check(self) -> Health:
        """Look anew, from the first one on, until one is well."""
        for member in self._members:
            if member.look().healthy:
                return member.health
        return Health(False, self._members[0].health.latency_ms, self._reasons())

    def _on(self, call: Callable[[Backend], T]) -> T:
        while True:
            member = self._well()
            try:
                return call(member.backend())
            except StorageError:
                if member.look().healthy:  # so another storage would not be the answer
                    raise

    def _well(self) -> _Member:
        """The first that is well. Raises `StorageError` where none is."""
        for member in self._members:
            remembered = time.monotonic() - member.checked_at < self._interval
            if (member.health if remembered else member.look()).healthy:
                return member
        raise StorageError(self._reasons())

    def _reasons(self) -> str:
        found = "; ".join(
            f"{member.name}: {(member.health.error or '').rstrip('.')}" for member in self._members
        )
        return f"No database of database_factory is well: {found}."
