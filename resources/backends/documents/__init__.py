"""Storages that keep a run as one JSON document, and know nothing else of it.

A storage of that kind says how documents are put, found and dropped; everything else that a
`Backend` can do is made from that here. What storing adds to a run stands in its document, under
the key `issuelake`.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from resources.backend import BOTH, RUNS, Backend, Pushdown
from resources.backends.documents.model import Kept, read
from resources.lake import layout
from resources.session import cursor

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from resources.lake.compact import Compacted
    from resources.lake.maintain import Maintained
    from resources.lake.marks import Audit, Deletion
    from resources.lake.verdict import Appended

__all__ = ["DocumentBackend"]

T = TypeVar("T")


class DocumentBackend(Backend):
    """A storage of run documents. Every read reads every document, so it is for thousands of runs, not
    for millions.

    A subclass sets `files`, calls `super().__init__()`, and has `url` and the three methods below,
    which raise `StorageError` where the storage cannot be reached.
    """

    def __init__(self) -> None:
        self._writing = threading.Lock()

    @abstractmethod
    def load(self, run_ids: Collection[str] | None = None) -> Iterable[bytes]:
        """The documents of `run_ids`, of all runs without; there may be others among them.

        Of several documents of one run the one that was put last counts.
        """

    @abstractmethod
    def put(self, run_id: str, document: bytes) -> None:
        """Keep `document`, one JSON object, in place of an older one of the run; durable on return.

        Whoever loads meanwhile gets the old one or the new one, whole.
        """

    @abstractmethod
    def drop(self, run_id: str) -> None:
        """Remove the run's document; one that is gone already is no error."""

    def append(self, runs: pa.Table, issues: pa.Table) -> Appended:
        from resources.backends.documents.writing import prepared
        from resources.lake.marks import read_deletions

        ids = runs["validation_run_id"].to_pylist()
        with self._writing:
            known = self._latest(ids) if ids else {}
            deletions = read_deletions(self.files, ids)
            documents, appended = prepared(runs, issues, known, deletions)
            for run_id, document in documents:
                self.put(run_id, document)
        return appended

    def reading(
        self,
        work: Callable[[duckdb.DuckDBPyConnection], T],
        first: date | None = None,
        last: date | None = None,
        tables: Sequence[str] = BOTH,
        pushdown: Pushdown | None = None,
    ) -> T:
        from resources.backends.documents.tables import define

        only = None if pushdown is None or pushdown.run_id is None else [pushdown.run_id]

        def attempt() -> T:
            kept = self.counting(only, first, last)
            with cursor() as connection:
                define(connection, kept, tables)
                return work(connection)

        return layout.relisting(attempt)

    def define_views(
        self,
        connection: duckdb.DuckDBPyConnection,
        first: date | None = None,
        last: date | None = None,
        tables: Sequence[str] = BOTH,
        pushdown: Pushdown | None = None,
    ) -> list[str]:
        """Copy `tables`, as they are now, into temporary tables; no file is read later."""
        from resources.backends.documents.tables import define

        only = None if pushdown is None or pushdown.run_id is None else [pushdown.run_id]
        define(connection, layout.relisting(lambda: self.counting(only, first, last)), tables)
        return []

    def days(self) -> list[date]:
        return sorted({kept.day for kept in layout.relisting(self.counting)})

    def delete(self, run_ids: Iterable[str], audit: Audit | None = None) -> str:
        from resources.lake.marks import Audit, write_deletions

        ids = set(run_ids)
        if not ids:
            return ""
        with self._writing:
            known = self._latest(ids)
            now = datetime.now(UTC)
            # The clock that a run was stored by may have been ahead of this one.
            tick = timedelta(microseconds=1)
            moments = {i: max(now, known[i].stored_at + tick) if i in known else now for i in ids}
            audit_id = write_deletions(self.files, moments, now, audit or Audit())
            # From here on nobody sees them; who stored one anew meanwhile keeps it.
            for run_id, kept in self._latest(known).items():
                if kept.stored_at <= moments[run_id]:
                    self.drop(run_id)
        return audit_id

    def deletions(self) -> list[Deletion]:
        from resources.lake.marks import read_audits

        return read_audits(self.files)

    def record(self, deletion: Deletion, moments: Mapping[str, datetime]) -> None:
        from resources.lake.marks import write_marks

        with self._writing:
            write_marks(self.files, deletion, moments)
            for run_id, kept in self._latest(moments).items() if moments else ():
                if kept.stored_at <= moments[run_id]:
                    self.drop(run_id)

    def compact_day(
        self,
        day: date,
        grace: timedelta | None = None,  # noqa: ARG002  (there are no old files to keep)
    ) -> Compacted:
        """How much a day holds: documents have one form only."""
        from resources.lake.compact import Compacted

        kept = layout.relisting(lambda: self.counting(None, day, day))
        return Compacted(day, 0, 0, len(kept), sum(len(k.issues) for k in kept), written=False)

    def maintain(
        self, grace: timedelta | None = None, on_day: Callable[[Compacted], None] | None = None
    ) -> Maintained:
        """Remove what killed writers left half written."""
        import time

        from resources.lake.compact import ORPHAN_AGE
        from resources.lake.maintain import Maintained

        self.files.sweep(time.time() - ORPHAN_AGE.total_seconds())
        compacted = []
        for day in self.days():
            compacted.append(self.compact_day(day, grace))
            if on_day is not None:
                on_day(compacted[-1])
        return Maintained(compacted, 0)

    def stored(self, days: Sequence[date], table: str) -> dict[date, tuple[int, int]]:
        """The bytes are those of the documents, the issues in them apart."""
        totals = dict.fromkeys(days, (0, 0))
        for kept in layout.relisting(self.counting):
            if kept.day in totals:
                size = kept.size - kept.issues_size if table == RUNS else kept.issues_size
                totals[kept.day] = 0, totals[kept.day][1] + size
        return totals

    def counting(
        self, run_ids: Collection[str] | None = None, first: date | None = None, last: date | None = None
    ) -> list[Kept]:
        """The runs of the days that count: each once, none that was deleted."""
        from resources.lake.marks import read_deletions

        latest = self._latest(run_ids)
        gone = read_deletions(self.files, latest)
        return [
            kept
            for run_id, kept in latest.items()
            if not (run_id in gone and kept.stored_at <= gone[run_id])
            and (first or date.min) <= kept.day <= (last or date.max)
        ]

    def _latest(self, run_ids: Collection[str] | None = None) -> dict[str, Kept]:
        """The latest copy of each run, by its id."""
        wanted = None if run_ids is None else set(run_ids)
        latest: dict[str, Kept] = {}
        for document in self.load(wanted):
            kept = read(document, self.url)
            if wanted is not None and kept.run_id not in wanted:
                continue
            earlier = latest.get(kept.run_id)
            if earlier is None or (kept.stored_at, kept.batch_id) > (earlier.stored_at, earlier.batch_id):
                latest[kept.run_id] = kept
        return latest
