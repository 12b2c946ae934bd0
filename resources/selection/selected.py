"""The backend that one operation sees: whichever of the chain can do what is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from resources.backend import BOTH, COUNTED, Backend, Newest, Pushdown
from resources.errors import IssuelakeError, StorageError, Vanished
from resources.files import Files
from resources.health import Health
from resources.lake.marks import TICK, Audit, Deletion
from resources.selection.chain import Chain
from resources.selection.debts import Debts
from resources.selection.ledger import now
from resources.selection.member import Member
from resources.selection.trace import Trace
from resources.selection.united import count, unite, without_limits
from resources.session import sql

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from resources.contract import Rejection
    from resources.lake.compact import Compacted
    from resources.lake.maintain import Maintained
    from resources.lake.rejected import Rejected
    from resources.lake.verdict import Appended

T = TypeVar("T")


class Selected(Backend):
    """Every call goes to the first member of `chain` that can answer it, and `trace` says how it went."""

    name = "auto"

    def __init__(self, chain: Chain, trace: Trace) -> None:
        self.chain = chain
        self.trace = trace
        self._debts = Debts(chain, trace)

    @property
    def url(self) -> str:
        return self.chain.preferred.place

    @property
    def files(self) -> Files:  # type: ignore[override]  # those of whichever is used
        return self._on(lambda backend: backend.files)

    def append(self, runs: pa.Table, issues: pa.Table) -> Appended:
        """Store the batch in the first backend that takes it; what it should have gone to is owed it."""

        def store(member: Member) -> Appended:
            began = now()
            appended = member.ask(lambda backend: backend.append(runs, issues), runs.nbytes + issues.nbytes)
            self._debts.stored(member, runs, began)
            return appended

        return self._first(store, to_write=True)

    def reading(
        self,
        work: Callable[[duckdb.DuckDBPyConnection], T],
        first: date | None = None,
        last: date | None = None,
        tables: Sequence[str] = BOTH,
        pushdown: Pushdown | None = None,
    ) -> T:
        """What `work` answers about the first backend that can be read, and what others hold for it."""
        mistakes: list[StorageError] = []

        def read(member: Member) -> T:
            missing = self._debts.missing(member, first, last, without_limits(pushdown))
            limits = not missing and self._limits(member, pushdown)
            asked = pushdown if limits else without_limits(pushdown)

            def united(connection: duckdb.DuckDBPyConnection, all_fetched: Callable[[], None]) -> T:
                all_fetched()
                if missing:
                    unite(connection, missing.parts(), missing.deletions)
                if COUNTED in tables and not limits:
                    count(connection, pushdown or Pushdown())
                try:
                    return work(connection)
                except Vanished:
                    raise
                except StorageError as error:
                    mistakes.append(error)
                    raise

            wanted = tables if limits or not (missing or COUNTED in tables) else BOTH
            return member.read(
                lambda backend, fetched: backend.reading(
                    lambda connection: united(connection, fetched), first, last, wanted, asked
                )
            )

        return self._first(read, mistakes)

    def limits(self, pushdown: Pushdown) -> bool:
        """As the preferred backend says; where another one is read after all, all is looked at."""
        return self._limits(self.chain.preferred, pushdown)

    def newest(
        self, pushdown: Pushdown, first: date | None = None, last: date | None = None
    ) -> Newest | None:
        """None while anything is owed, which is for `reading` to unite."""

        def read(member: Member) -> Newest | None:
            if self.chain.ledger.entries() or not self._limits(member, pushdown):
                return None
            return member.read(lambda backend, _: backend.newest(pushdown, first, last))

        return self._first(read)

    def define_views(
        self,
        connection: duckdb.DuckDBPyConnection,
        first: date | None = None,
        last: date | None = None,
        tables: Sequence[str] = BOTH,
        pushdown: Pushdown | None = None,
    ) -> list[str]:
        def define(member: Member) -> list[str]:
            asked = without_limits(pushdown)
            missing = self._debts.missing(member, first, last, asked)
            opened = member.read(
                lambda backend, _: backend.define_views(
                    connection, first, last, BOTH if missing else tables, asked if missing else pushdown
                )
            )
            if missing:
                unite(connection, missing.parts(), missing.deletions)
            return opened

        return self._first(define)

    def days(self) -> list[date]:
        def days(member: Member) -> list[date]:
            there = member.read(lambda backend, _: backend.days())
            return sorted({*there, *self._debts.days(member)})

        return self._first(days)

    def delete(self, run_ids: Iterable[str], audit: Audit | None = None) -> str:
        """Hide the runs in every backend of the chain; one that cannot be reached is owed the deletion.

        The moment is fixed beforehand, so that a backend that comes to it late hides nothing newer.
        """
        ids = sorted(set(run_ids))
        if not ids:
            return ""
        at = now()
        moments = dict.fromkeys(ids, at) | self.reading(lambda connection: _deletable(connection, ids, at))
        said = audit or Audit()
        deletion = Deletion(uuid4().hex, at, said.actor, said.query, len(ids), said.issues_deleted)
        self.record(deletion, moments)
        return deletion.audit_id

    def record(self, deletion: Deletion, moments: Mapping[str, datetime]) -> None:
        def tell(member: Member) -> Member:
            member.ask(lambda backend: backend.record(deletion, moments))
            return member

        self._debts.deleted(self._first(tell, to_write=True), deletion, moments)

    def deleted_runs(self, audit_id: str) -> dict[str, datetime]:
        return self._on(lambda backend: backend.deleted_runs(audit_id))

    def deletions(self) -> list[Deletion]:
        return self._on(lambda backend: backend.deletions())

    def compact_day(self, day: date, grace: timedelta | None = None) -> Compacted:
        return self._preferred(lambda backend: backend.compact_day(day, grace))

    def maintain(
        self, grace: timedelta | None = None, on_day: Callable[[Compacted], None] | None = None
    ) -> Maintained:
        return self._preferred(lambda backend: backend.maintain(grace, on_day))

    def stored(self, days: Sequence[date], table: str) -> dict[date, tuple[int, int]]:
        return self._on(lambda backend: backend.stored(days, table))

    def check(self) -> Health:
        """A round trip to the first backend that is well."""
        for member in self.chain.usable(self.trace, to_write=True):
            health = member.look()
            if health.healthy:
                return health
            self.trace.note(member.name, "failed", health.latency_ms / 1000, health.error)
        return Health(False, 0.0, str(self.chain.nobody(self.trace)))

    def reject(self, rejections: Sequence[Rejection]) -> None:
        if rejections:
            size = sum(len(rejection.raw) for rejection in rejections)
            self._first(
                lambda member: member.ask(lambda backend: backend.reject(rejections), size), to_write=True
            )

    def rejected(self) -> list[Rejected]:
        """What was refused, wherever it was kept, as far as that can be reached."""
        found = {
            rejected.rejected_id: rejected
            for _, waiting in self._everywhere(lambda backend: backend.rejected())
            for rejected in waiting
        }
        return sorted(found.values(), key=lambda rejected: rejected.rejected_at)

    def rejected_bytes(self, rejected: Rejected) -> bytes:
        for member, waiting in self._everywhere(lambda backend: backend.rejected()):
            for kept in waiting:
                if kept.rejected_id == rejected.rejected_id:
                    return _bytes(member, kept)
        raise Vanished(f"{rejected.rejected_id} is not among the rejected deliveries any more.")

    def take_rejected(self, rejected_ids: Iterable[str]) -> None:
        ids = list(rejected_ids)
        for _ in self._everywhere(lambda backend: backend.take_rejected(ids)):
            pass

    def _limits(self, member: Member, pushdown: Pushdown | None) -> bool:
        if pushdown is None or not member.standing.may_be_read():
            return False
        try:
            return member.backend().limits(pushdown)
        except IssuelakeError:  # which it will say when it is read
            return False

    def _everywhere(self, work: Callable[[Backend], T]) -> Iterator[tuple[Member, T]]:
        """What `work` answers about every member that can answer."""
        for member in self.chain.usable(self.trace):
            try:
                answer = member.read(lambda backend, _: work(backend))
            except StorageError as error:
                member.standing.failed(str(error))
                self.trace.note(member.name, "failed", reason=str(error))
            else:
                yield member, answer

    def _preferred(self, work: Callable[[Backend], T]) -> T:
        """What `work` answers about the preferred backend: upkeep of another is not what was asked for."""
        started = time.perf_counter()
        answer = self.chain.preferred.read(lambda backend, _: work(backend))
        self.trace.note(self.chain.preferred.name, "used", time.perf_counter() - started)
        return answer

    def _on(self, work: Callable[[Backend], T]) -> T:
        """What `work` answers about the first backend that can answer; it may take its time."""
        return self._first(lambda member: member.read(lambda backend, _: work(backend)))

    def _first(
        self, work: Callable[[Member], T], mistakes: Sequence[StorageError] = (), to_write: bool = False
    ) -> T:
        """What `work` answers about the first member at which it does not fail.

        An error among `mistakes` is the caller's own, so another member would not be the answer.
        """
        for member in self.chain.usable(self.trace, to_write):
            started = time.perf_counter()
            try:
                answer = work(member)
            except StorageError as error:
                if any(error is mistake or error.__cause__ is mistake for mistake in mistakes):
                    raise
                spent = time.perf_counter() - started
                if to_write:
                    member.refused(str(error), spent)
                else:
                    member.standing.failed(str(error))
                self.trace.note(member.name, "failed", spent, str(error))
            else:
                if to_write or member.standing.may_be_used():  # reading tells nothing of writing
                    member.standing.succeeded()
                self.trace.note(member.name, "used", time.perf_counter() - started)
                self.trace.used = member.configured_as
                return answer
        raise self.chain.nobody(self.trace)


def _bytes(member: Member, rejected: Rejected) -> bytes:
    return member.read(lambda backend, _: backend.rejected_bytes(rejected))


def _deletable(
    connection: duckdb.DuckDBPyConnection, run_ids: list[str], at: datetime
) -> dict[str, datetime]:
    """Up to when copies of the runs are to be hidden; the clock they were stored by may be ahead."""
    rows = connection.execute(sql("resources", "stored_at_of_runs"), [run_ids]).fetchall()
    return {run_id: max(at, stored_at + TICK) for run_id, stored_at in rows}
