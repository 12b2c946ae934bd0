"""A lake: a folder of immutable Parquet files on any storage, read and written by many at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from resources.backend import BOTH, Backend, Pushdown
from resources.errors import StorageError
from resources.files import Files
from resources.files.encrypted import EncryptedFiles
from resources.lake import layout

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from resources.contract import Rejection
    from resources.encryption import Key
    from resources.health import Health
    from resources.lake.batch import Batch
    from resources.lake.compact import Compacted
    from resources.lake.index import Index
    from resources.lake.maintain import Maintained
    from resources.lake.marks import Audit, Deletion
    from resources.lake.verdict import Appended
    from resources.lake.write import Plan

T = TypeVar("T")


class Lake(Backend):
    """The one door to a lake. What each verb needs is imported when it is first used, so that
    reading does not load what only writing needs."""

    def __init__(self, files: Files, key: Key | None = None, history: str | None = None) -> None:
        """With a `key`, all its Parquet files are encrypted: a lake has one key, or none, for life."""
        self.files = files if key is None else EncryptedFiles(files, key)
        self._has_one_key = False
        self.history = history
        """The file beside it whose runs belong into it: `assets.history` takes them over."""

    @property
    def url(self) -> str:
        return self.files.url

    def append(self, runs: pa.Table, issues: pa.Table) -> Appended:
        """Store runs and issues as `assets.kernel.Chunk` describes them; durable on return."""
        plan = self.plan([runs])
        return self.commit(plan, [batch.lay_out(issues) for batch in plan.batches if batch is not None])

    def plan(self, parts: Sequence[pa.Table]) -> Plan:
        """How to store the runs of several chunks, in their order; nothing is stored yet."""
        from resources.lake.write import plan

        if self.files.key is not None:  # without one, what is listed anyway shows what is encrypted
            self._refuse_another_key()
        return plan(self.files, self._index, parts)

    def stage(self, batch: Batch, issues_files: dict[date, bytes]) -> None:
        """Publish the issues files of `batch`, which somebody else is to commit; invisible until then."""
        from resources.lake.write import publish_issues

        publish_issues(self.files, batch, issues_files)

    def commit(self, plan: Plan, issues_files: Sequence[Iterable[tuple[date, bytes]]]) -> Appended:
        """Store what was planned, given what each of its batches lays out, nothing where it was staged.

        Durable on return.
        """
        from resources.lake.write import commit

        return commit(self.files, self._index, plan, issues_files)

    def reading(
        self,
        work: Callable[[duckdb.DuckDBPyConnection], T],
        first: date | None = None,
        last: date | None = None,
        tables: Sequence[str] = BOTH,
        pushdown: Pushdown | None = None,  # noqa: ARG002  (DuckDB looks into Parquet by itself)
    ) -> T:
        """What `work` answers, given a connection with the views `tables` of the days."""
        from resources.lake.read import reading

        return reading(self.files, work, first, last, tables)

    def define_views(
        self,
        connection: duckdb.DuckDBPyConnection,
        first: date | None = None,  # noqa: ARG002  (nothing is read before a question names it)
        last: date | None = None,  # noqa: ARG002
        tables: Sequence[str] = BOTH,  # noqa: ARG002
        pushdown: Pushdown | None = None,  # noqa: ARG002
    ) -> list[str]:
        """Create the views `runs` and `issues` of everything; the local files that they read."""
        from resources.lake.read import define_views

        if self.files.key is not None:
            self.files.key.add_to(connection)
        return define_views(connection, self.files)

    def days(self) -> list[date]:
        """The days that have files, oldest first."""
        return layout.days(self.files)

    def delete(self, run_ids: Iterable[str], audit: Audit | None = None) -> str:
        """Hide the runs from every reader at once; compaction removes them.

        `audit` is kept with them for good; its id, or nothing where there is no run.
        """
        from resources.lake.marks import TICK, Audit, write_deletions

        ids = set(run_ids)
        known = layout.relisting(lambda: self._index.copies(ids, layout.data_files(self.files)))
        now = datetime.now(UTC)
        # The clock that a copy was stored by may have been ahead of this one.
        moments = {i: max([now, *(copy.stored_at + TICK for copy in known.get(i, ()))]) for i in ids}
        return write_deletions(self.files, moments, now, audit or Audit())

    def deletions(self) -> list[Deletion]:
        """What was deleted when, by whom, and how much, oldest first."""
        from resources.lake.marks import read_audits

        return read_audits(self.files)

    def record(self, deletion: Deletion, moments: Mapping[str, datetime]) -> None:
        """Write down a deletion that was made elsewhere, and hide copies stored up to the moments."""
        from resources.lake.marks import write_marks

        write_marks(self.files, deletion, moments)

    def compact_day(self, day: date, grace: timedelta | None = None) -> Compacted:
        """Bring one day to one sorted file."""
        from resources.lake.compact import DEFAULT_GRACE, compact_day

        return compact_day(self.files, day, DEFAULT_GRACE if grace is None else grace)

    def maintain(
        self,
        grace: timedelta | None = None,
        on_day: Callable[[Compacted], None] | None = None,
        compact: Callable[[Sequence[date]], Iterable[Compacted]] | None = None,
    ) -> Maintained:
        """Compact every day, complete the hints, bring the index up to date.

        `compact` calls `compact_day` for days elsewhere than in this process.
        """
        from resources.lake.compact import DEFAULT_GRACE
        from resources.lake.maintain import maintain

        period = DEFAULT_GRACE if grace is None else grace
        return maintain(self.files, self._index, period, compact, on_day)

    def stored(self, days: Sequence[date], table: str) -> dict[date, tuple[int, int]]:
        """How many files of `table`, and how many bytes, each of `days` has."""
        totals = dict.fromkeys(days, (0, 0))
        for file in layout.data_files(self.files, days, table):
            count, size = totals[file.day]
            totals[file.day] = count + 1, size + file.size
        return totals

    def reject(self, rejections: Sequence[Rejection]) -> None:
        """Keep refused deliveries byte for byte; encrypted, where the lake is."""
        if rejections:
            self._refuse_another_key()
        super().reject(rejections)

    def check(self) -> Health:
        """A real round trip, and a look at what the lake is encrypted with."""
        health = super().check()
        if not health.healthy:
            return health
        try:
            layout.refuse_another_key(self.files)
        except StorageError as error:
            return dataclasses.replace(health, healthy=False, error=str(error))
        return health

    def _refuse_another_key(self) -> None:
        """Raises `StorageError` where the lake was begun with another key, or without; looks once."""
        if not self._has_one_key:
            layout.refuse_another_key(self.files)
            self._has_one_key = True

    @cached_property
    def _index(self) -> Index:
        from resources.lake.index import Index

        return Index(self.files)
