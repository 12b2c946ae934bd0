"""What one operation enters into the ledger, and what it must know from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING

from resources.backend import Backend, Pushdown
from resources.deadline import begin
from resources.errors import StorageError
from resources.selection.chain import Chain
from resources.selection.ledger import Entry, OwedRun, now
from resources.selection.member import Member
from resources.selection.trace import Trace
from resources.selection.united import Held, held

if TYPE_CHECKING:
    import pyarrow as pa

    from resources.lake.marks import Deletion


@dataclass(frozen=True, slots=True)
class Missing:
    """What a backend lacks: `deletions` that it has not heard of, and what others hold for it."""

    deletions: dict[str, datetime]
    calls: Sequence[Future[Held | None]]

    def __bool__(self) -> bool:
        return bool(self.deletions or self.calls)

    def parts(self) -> list[Held]:
        """What the holders answered, each within its own deadline; the trace tells of one that did not."""
        return [part for call in self.calls if (part := call.result()) is not None]


class Debts:
    """The ledger of `chain` as one operation, told of in `trace`, deals with it."""

    def __init__(self, chain: Chain, trace: Trace) -> None:
        self._chain = chain
        self._trace = trace

    def stored(self, member: Member, runs: pa.Table, began: datetime) -> None:
        """`member` has stored `runs` since `began`: enter who is owed them, strike off what they replace."""
        owed = tuple(
            OwedRun(run_id, content_hash, moment.date())
            for run_id, content_hash, moment in zip(
                runs["validation_run_id"].to_pylist(),
                runs["content_hash"].to_pylist(),
                runs["timestamp"].to_pylist(),
                strict=True,
            )
        )
        preferred = self._chain.preferred
        earlier = self._chain.ledger.entries()
        for name in dict.fromkeys([preferred.name, *preferred.settings.replicate_to]):
            if name == member.name:
                # It has them now, so what others held of the same runs is of the past.
                mine = [entry for entry in earlier if entry.owed_to == name]
                self._chain.ledger.strike_runs(mine, dict.fromkeys((run.run_id for run in owed), began))
            else:
                self._owe(name, owed, member)

    def deleted(self, member: Member, deletion: Deletion, moments: Mapping[str, datetime]) -> None:
        """`member` has heard of the deletion: so must the others, and nobody is owed the runs any more."""
        others = [other for other in self._chain.members if other is not member]
        calls = [begin(partial(_delete, other, deletion, moments)) for other in others]
        for other, call in zip(others, calls, strict=True):  # each ends by its own deadline
            if not call.result():
                self._chain.ledger.add(
                    Entry(
                        kind="deletion",
                        owed_to=other.name,
                        owed_place=other.place,
                        at=deletion.deleted_at,
                        deletion=deletion,
                        moments=dict(moments),
                    )
                )
        self._chain.ledger.strike_runs(self._chain.ledger.entries(), moments)

    def missing(
        self,
        member: Member,
        first: date | None = None,
        last: date | None = None,
        pushdown: Pushdown | None = None,
    ) -> Missing:
        """What `member` lacks; the holders are asked side by side, beside whatever the caller does next."""
        holders: dict[str, dict[str, datetime]] = {}
        deletions: dict[str, datetime] = {}
        for entry in self._chain.ledger.entries():
            if entry.kind == "deletion" and entry.owed_to == member.name:
                for run_id, moment in entry.moments.items():
                    deletions[run_id] = max(moment, deletions.get(run_id, moment))
            elif entry.kind == "batch" and entry.held_by != member.name and self._concerns(entry, member):
                moments = holders.setdefault(entry.held_by, {})
                for run_id in entry.run_ids:
                    moments[run_id] = max(entry.at, moments.get(run_id, entry.at))
        fetch = partial(self._fetch, first=first, last=last, pushdown=pushdown)
        calls = [begin(partial(fetch, name, moments)) for name, moments in holders.items()]
        return Missing(deletions, calls)

    def _fetch(
        self,
        name: str,
        moments: dict[str, datetime],
        first: date | None,
        last: date | None,
        pushdown: Pushdown | None,
    ) -> Held | None:
        holder = self._chain.member(name)
        started = time.perf_counter()
        try:
            if holder is None:
                raise StorageError(f"{name} is not configured any more")
            if not holder.ready():
                raise StorageError(holder.standing.why_not())
            return holder.read(partial(_held, moments, first, last, pushdown))
        except StorageError as error:
            reason = f"{len(moments)} runs that it holds for others are not seen: {error}"
            self._trace.note(name, "failed", time.perf_counter() - started, reason)
            return None

    def days(self, member: Member) -> set[date]:
        """The days of the runs that others hold and `member` lacks."""
        return {
            run.day
            for entry in self._chain.ledger.entries()
            if entry.kind == "batch" and entry.held_by != member.name and self._concerns(entry, member)
            for run in entry.runs
        }

    def _concerns(self, entry: Entry, member: Member) -> bool:
        """Whether a reader of `member` misses what `entry` says is held elsewhere.

        A replica that lags behind is missing runs too; the preferred one is not missing what it
        holds for its replicas.
        """
        return entry.owed_to == member.name or entry.owed_to == self._chain.preferred.name

    def _owe(self, name: str, runs: tuple[OwedRun, ...], holder: Member) -> None:
        debtor = self._chain.member(name)
        self._chain.ledger.add(
            Entry(
                kind="batch",
                owed_to=name,
                owed_place=debtor.place if debtor else "",
                at=now(),
                runs=runs,
                held_by=holder.name,
                held_place=holder.place,
            )
        )


def _held(
    moments: dict[str, datetime],
    first: date | None,
    last: date | None,
    pushdown: Pushdown | None,
    backend: Backend,
    _: Callable[[], None],
) -> Held:
    return held(backend, moments, first, last, pushdown)


def _delete(member: Member, deletion: Deletion, moments: Mapping[str, datetime]) -> bool:
    """Tell `member` of the deletion, if it has any runs; whether that went well."""
    if not member.ready():
        return False
    try:
        if member.ask(lambda backend: backend.days()):
            member.ask(lambda backend: backend.record(deletion, moments))
    except StorageError as error:
        member.standing.failed(str(error))
        return False
    return True
