"""A backend that is as slow, as unreliable and as small as one wants: to see what everything else
makes of it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from resources.backend import BOTH, RUNS, Backend, Newest, Pushdown
from resources.errors import ConfigError, StorageError
from resources.files import Files
from resources.health import Health

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from resources.contract import Rejection
    from resources.lake.compact import Compacted
    from resources.lake.maintain import Maintained
    from resources.lake.marks import Audit, Deletion
    from resources.lake.rejected import Rejected
    from resources.lake.verdict import Appended

T = TypeVar("T")


class Faults(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What goes wrong. Nothing does unless it is asked for."""

    latency_ms: Annotated[float, msgspec.Meta(ge=0, le=60_000)] = 0
    """Before each call."""
    failure_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0
    """The share of calls that fail."""
    seed: int = 0
    """The same seed fails the same calls."""
    item_limit: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Runs that it has room for."""


class FaultInjection(Backend):
    """Another backend with faults. `backend` is one of `storage_config` by name with its keys
    (`{sqlite: {database_path: issues.db}}`); without, it is the memory called `fault_injection`."""

    def __init__(self, backend: dict[str, Any] | None = None, **faults: Any) -> None:
        try:
            self.faults = msgspec.convert(faults, Faults)
        except msgspec.ValidationError as error:
            known = ", ".join(("backend", *Faults.__struct_fields__))
            raise ConfigError(f"fault_injection: {error}; its keys are {known}.") from None
        self._inner = _wrapped(backend)
        self._random = random.Random(self.faults.seed)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return self._inner.url

    @property
    def files(self) -> Files:  # type: ignore[override]  # with faults of their own
        return _FaultyFiles(self._inner.files, self._call)

    def append(self, runs: pa.Table, issues: pa.Table) -> Appended:
        def store() -> Appended:
            self._check_room(runs)
            return self._inner.append(runs, issues)

        return self._call("append", store)

    def reading(
        self,
        work: Callable[[duckdb.DuckDBPyConnection], T],
        first: date | None = None,
        last: date | None = None,
        tables: Sequence[str] = BOTH,
        pushdown: Pushdown | None = None,
    ) -> T:
        return self._call("reading", lambda: self._inner.reading(work, first, last, tables, pushdown))

    def define_views(
        self,
        connection: duckdb.DuckDBPyConnection,
        first: date | None = None,
        last: date | None = None,
        tables: Sequence[str] = BOTH,
        pushdown: Pushdown | None = None,
    ) -> list[str]:
        return self._call(
            "define_views", lambda: self._inner.define_views(connection, first, last, tables, pushdown)
        )

    def limits(self, pushdown: Pushdown) -> bool:
        return self._inner.limits(pushdown)

    def newest(
        self, pushdown: Pushdown, first: date | None = None, last: date | None = None
    ) -> Newest | None:
        return self._call("newest", lambda: self._inner.newest(pushdown, first, last))

    def days(self) -> list[date]:
        return self._call("days", self._inner.days)

    def delete(self, run_ids: Iterable[str], audit: Audit | None = None) -> str:
        return self._call("delete", lambda: self._inner.delete(run_ids, audit))

    def deletions(self) -> list[Deletion]:
        return self._call("deletions", self._inner.deletions)

    def record(self, deletion: Deletion, moments: Mapping[str, datetime]) -> None:
        self._call("record", lambda: self._inner.record(deletion, moments))

    def deleted_runs(self, audit_id: str) -> dict[str, datetime]:
        return self._call("deleted_runs", lambda: self._inner.deleted_runs(audit_id))

    def rejected_bytes(self, rejected: Rejected) -> bytes:
        return self._call("rejected_bytes", lambda: self._inner.rejected_bytes(rejected))

    def compact_day(self, day: date, grace: timedelta | None = None) -> Compacted:
        return self._call("compact_day", lambda: self._inner.compact_day(day, grace))

    def maintain(
        self, grace: timedelta | None = None, on_day: Callable[[Compacted], None] | None = None
    ) -> Maintained:
        return self._call("maintain", lambda: self._inner.maintain(grace, on_day))

    def stored(self, days: Sequence[date], table: str) -> dict[date, tuple[int, int]]:
        return self._call("stored", lambda: self._inner.stored(days, table))

    def check(self) -> Health:
        started = time.perf_counter()
        try:
            checked = self._call("check", self._inner.check)
        except StorageError as error:
            checked = Health(False, 0.0, str(error))
        return replace(checked, latency_ms=round((time.perf_counter() - started) * 1000, 3))

    def reject(self, rejections: Sequence[Rejection]) -> None:
        self._call("reject", lambda: self._inner.reject(rejections))

    def rejected(self) -> list[Rejected]:
        return self._call("rejected", self._inner.rejected)

    def take_rejected(self, rejected_ids: Iterable[str]) -> None:
        self._call("take_rejected", lambda: self._inner.take_rejected(rejected_ids))

    def _call(self, name: str, work: Callable[[], T]) -> T:
        time.sleep(self.faults.latency_ms / 1000)
        with self._lock:
            fails = self._random.random() < self.faults.failure_rate
        if fails:
            raise StorageError(
                f"fault_injection: {name} failed, as asked for (failure_rate {self.faults.failure_rate:g})."
            )
        return work()

    def _check_room(self, runs: pa.Table) -> None:
        limit = self.faults.item_limit
        if limit is None:
            return
        there = self._inner.reading(
            lambda c: {row[0] for row in c.execute("SELECT validation_run_id FROM runs").fetchall()},
            tables=(RUNS,),
        )
        if len(there.union(runs["validation_run_id"].to_pylist())) > limit:
            raise StorageError(f"fault_injection: there is room for {limit} runs only (item_limit).")


class _FaultyFiles:
    """Files whose every call may fail."""

    def __init__(self, files: Files, call: Callable[[str, Callable[[], Any]], Any]) -> None:
        self.url = files.url
        self.key = files.key
        self.using = files.using
        self._files = files
        self._call = call

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._files, name)
        return lambda *args, **kwargs: self._call(name, lambda: method(*args, **kwargs))


def _wrapped(backend: dict[str, Any] | None) -> Backend:
    from resources.backends import BACKENDS, settings_of
    from resources.backends.custom.memory import Memory

    if backend is None:
        return Memory("fault_injection")
    if not isinstance(backend, dict) or len(backend) != 1:
        raise ConfigError("fault_injection: backend must be one backend's name with its keys.")
    [(name, keys)] = backend.items()
    if name == "memory":
        return Memory(**(keys or {}))
    if name not in BACKENDS:
        raise ConfigError(
            f"fault_injection: {name!r} is not a backend; known are memory, {', '.join(BACKENDS)}."
        )
    return settings_of(name).of(keys or {}, f"fault_injection.backend.{name}").open()
