"""What every storage of runs and issues can do, whatever holds them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from resources.files import Files
from resources.telemetry import Value, traced

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from resources.contract import Rejection
    from resources.health import Health
    from resources.lake.compact import Compacted
    from resources.lake.maintain import Maintained
    from resources.lake.marks import Audit, Deletion
    from resources.lake.rejected import Rejected
    from resources.lake.verdict import Appended

T = TypeVar("T")

RUNS = "runs"
ISSUES = "issues"
BOTH = (RUNS, ISSUES)
COUNTED = "counted"
"""A relation of one row, asked for with a `limit` alone: `total` counts the issues of the runs that plugin,
run id and moments select, `filtered` those of them that fulfil the rest of the pushdown too."""

RUN_IDS_AT_MOST = 1_000
"""Of `Pushdown.run_ids`: every server takes as many in one question."""


@dataclass(frozen=True, slots=True)
class Pushdown:
    """What all rows have in common that a reader will look at; None where nothing is known.

    A backend may leave other rows out of its relations, and need not: the reader's SQL has the same
    conditions again. Severities, categories and fingerprint hold for issues alone, the others for both
    relations.
    """

    plugin: str | None = None
    run_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    severities: tuple[str, ...] | None = None
    categories: tuple[str, ...] | None = None
    fingerprint: str | None = None
    run_ids: tuple[str, ...] | None = None
    """At most `RUN_IDS_AT_MOST`; holds for both relations."""
    columns: frozenset[str] | None = None
    """Those of either relation that will be named; a backend may leave out the others."""
    newest: bool = False
    """Only the newest run will be looked at."""
    limit: int | None = None
    """Only so many of the newest issues will be looked at, and the conditions above are all there are."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest issues that a `limit` lets through, and as many more as have the moment of the last."""

    total: int
    filtered: int
    """Both as `COUNTED` has them."""
    issues: list[dict[str, Any]]
    """In no order, by column; moments are UTC."""


def _named(backend: Backend) -> dict[str, Value]:
    return {"backend": backend.name or type(backend).__name__}


def _of_append(_: object, backend: Backend, runs: pa.Table, issues: pa.Table) -> dict[str, Value]:
    rows, size = runs.num_rows + issues.num_rows, runs.nbytes + issues.nbytes
    return _named(backend) | {"rows": rows, "bytes": size}


def _of_commit(appended: Appended, backend: Backend, _: object, files: Sequence[Any]) -> dict[str, Value]:
    size = sum(len(data) for by_day in files for _, data in by_day)
    return _named(backend) | {"rows": appended.runs_stored + appended.issues_stored, "bytes": size}


def _of_compaction(done: Compacted, backend: Backend, *_: object) -> dict[str, Value]:
    return _named(backend) | {"rows": done.runs + done.issues if done.written else 0}


def _of_any(_: object, backend: Backend, *__: object) -> dict[str, Value]:
    return _named(backend)


_TOLD: dict[str, Callable[..., dict[str, Value]]] = {
    "append": _of_append,
    "commit": _of_commit,
    "compact_day": _of_compaction,
    "delete": _of_any,
    "maintain": _of_any,
    "reading": _of_any,
}
"""The methods of every backend that are told of over OpenTelemetry, where that is asked for."""


class Backend(ABC):
    """A storage of runs and issues.

    `files` takes what is neither: rejected deliveries, summaries, the probe of a health check.
    """

    files: Files
    name: str = ""
    """What the configuration calls it, where there is one."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for name, told in _TOLD.items():
            if name in vars(cls):
                setattr(cls, name, traced(f"backend.{name}", told)(vars(cls)[name]))

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is, without secrets."""

    @abstractmethod
    def append(self, runs: pa.Table, issues: pa.Table) -> Appended:
        """Store runs and issues as `assets.kernel.Chunk` describes them; durable on return.

        Where `runs` has the column `stored_at`, its rows (each run once) are copies of what another
        storage has had since then. A copy keeps that moment, and counts as a duplicate where this
        storage has the same content, something newer, or a later deletion of the run.
        """

    @abstractmethod
    def reading(
        self,
        work: Callable[[duckdb.DuckDBPyConnection], T],
        first: date | None = None,
        last: date | None = None,
        tables: Sequence[str] = BOTH,
        pushdown: Pushdown | None = None,
    ) -> T:
        """What `work` answers, given a DuckDB connection with the relations `tables` of the days from
        `first` to `last`. `work` may be called again. Raises `StorageError`."""

    def limits(self, pushdown: Pushdown) -> bool:  # noqa: ARG002  (a lake says no whatever is asked)
        """Whether `reading` finds what `newest` or `limit` ask for by an index, and knows `COUNTED`.

        Of issues of the same moment as the last one none is left out: the reader puts them in order.
        """
        return False

    def newest(
        self,
        pushdown: Pushdown,  # noqa: ARG002  (only some storages do)
        first: date | None = None,  # noqa: ARG002
        last: date | None = None,  # noqa: ARG002
    ) -> Newest | None:
        """What a reader of `ISSUES` and `COUNTED` would find who asks for a `limit`, without DuckDB.

        None where the storage cannot tell, or it is more than one wants to have in memory: then `reading`
        can. Asked only where `limits` says yes. Raises `StorageError`.
        """
        return None

    @abstractmethod
    def define_views(
        self,
        connection: duckdb.DuckDBPyConnection,
        first: date | None = None,
        last: date | None = None,
        tables: Sequence[str] = BOTH,
        pushdown: Pushdown | None = None,
    ) -> list[str]:
        """Create `tables`, by default of everything, for good; the local files that they read.

        As in `reading`, what is not asked for may be there all the same.
        """

    @abstractmethod
    def days(self) -> list[date]:
        """The days that have runs, oldest first; days whose runs have gone may be among them."""

    @abstractmethod
    def delete(self, run_ids: Iterable[str], audit: Audit | None = None) -> str:
        """Hide the runs from every reader at once.

        `audit` is kept for good; its id, or nothing where there is no run.
        """

    @abstractmethod
    def deletions(self) -> list[Deletion]:
        """What was deleted when, by whom, and how much, oldest first."""

    @abstractmethod
    def record(self, deletion: Deletion, moments: Mapping[str, datetime]) -> None:
        """Write down a deletion that was made elsewhere, or earlier, under the id that it has.

        Copies of the runs in `moments` stored up to then (UTC) are hidden at once. The same again
        changes nothing.
        """

    def deleted_runs(self, audit_id: str) -> dict[str, datetime]:
        """The runs of one of `deletions`, and the moment (UTC) up to which copies of each are hidden.

        Empty where nothing says which they were.
        """
        from resources.lake.marks import read_marks

        return read_marks(self.files, audit_id)

    @abstractmethod
    def compact_day(self, day: date, grace: timedelta | None = None) -> Compacted:
        """Bring a day into the form that reads best."""

    @abstractmethod
    def maintain(
        self, grace: timedelta | None = None, on_day: Callable[[Compacted], None] | None = None
    ) -> Maintained:
        """Compact every day and mend what was left behind."""

    @abstractmethod
    def stored(self, days: Sequence[date], table: str) -> dict[date, tuple[int, int]]:
        """How many files of `table` (0 where there are none), and how many bytes, each of `days` has."""

    def check(self) -> Health:
        """A real round trip."""
        from resources.health import check

        return check(self.files)

    def reject(self, rejections: Sequence[Rejection]) -> None:
        """Keep refused deliveries byte for byte."""
        from resources.lake.rejected import keep

        keep(self.files, rejections)

    def rejected(self) -> list[Rejected]:
        """What was refused and not taken in since, oldest first."""
        from resources.lake.rejected import waiting

        return waiting(self.files)

    def rejected_bytes(self, rejected: Rejected) -> bytes:
        """What was delivered, byte for byte."""
        from resources.lake.rejected import content

        return content(self.files, rejected)

    def take_rejected(self, rejected_ids: Iterable[str]) -> None:
        """Strike deliveries off that have been stored after all."""
        from resources.lake.rejected import take

        take(self.files, rejected_ids)
