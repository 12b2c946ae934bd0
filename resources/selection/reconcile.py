"""Paying what is owed: copied, verified by count and content, and only then struck off.

It can be interrupted anywhere and begun again, and two can be at it at once: a copy keeps the moment
at which it was stored, so storing it twice is storing it once, and one that the backend has a newer
version of changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from resources.backend import BOTH, Backend, Pushdown
from resources.errors import StorageError
from resources.selection.chain import Chain
from resources.selection.ledger import Entry
from resources.selection.member import Member
from resources.session import sql

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from resources.lake.marks import Deletion

RUNS_AT_ONCE = 500


@dataclass(slots=True)
class Reconciled:
    """What became of the ledger: entries struck off and left, runs copied, and why some are left."""

    struck: int = 0
    left: int = 0
    runs_copied: int = 0
    runs_deleted: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Stored:
    """How a backend has a run."""

    content_hash: str
    stored_at: datetime
    issues: str
    """How many, and a hash over them in any order."""


@dataclass(slots=True)
class _Payment:
    """Entries that the same holder has for the same debtor."""

    holder: Member
    debtor: Member
    entries: list[Entry] = field(default_factory=list)
    moments: dict[str, datetime] = field(default_factory=dict)
    """When each run was entered last (UTC)."""

    def take(self, entry: Entry) -> None:
        self.entries.append(entry)
        for run_id in entry.run_ids:
            self.moments[run_id] = max(entry.at, self.moments.get(run_id, entry.at))


def reconcile(chain: Chain, on_entry: Callable[[Entry], None] | None = None) -> Reconciled:
    """Pay what the ledger of `chain` says is owed to backends that are well.

    Raises `StorageError` where the ledger itself cannot be read; what else goes wrong is a problem of
    the entry, which then stays.
    """
    done = Reconciled()
    away: dict[str, str] = {}
    payments: dict[tuple[str, str], _Payment] = {}

    def settle(entry: Entry, problem: str | None) -> None:
        if problem is None:
            try:
                chain.ledger.strike(entry)
                done.struck += 1
            except StorageError as error:
                problem = str(error)
        if problem is not None:
            done.left += 1
            problem = f"{entry.owed_to}: {problem}"
            if problem not in done.problems:
                done.problems.append(problem)
        if on_entry is not None:
            on_entry(entry)

    def pay(payment: _Payment) -> None:
        problems: dict[str, str] = {}
        failed = None
        try:
            problems = _copy(payment, done)
        except StorageError as error:
            failed = str(error)
            for member in (payment.holder, payment.debtor):
                away.pop(member.name, None)  # one of them is to be looked at again
        for entry in payment.entries:
            lost = next((problems[run_id] for run_id in sorted(entry.run_ids) if run_id in problems), None)
            settle(entry, failed or lost)

    for entry in chain.ledger.entries():
        try:
            debtor = _member(chain, entry.owed_to, entry.owed_place, away)
            if entry.deletion is not None:
                _tell(debtor, entry.deletion, entry.moments)
                done.runs_deleted += len(entry.moments)
                settle(entry, None)
                continue
            holder = _member(chain, entry.held_by, entry.held_place, away)
        except StorageError as error:
            settle(entry, str(error))
            continue
        # Each look at a storage costs the same for one run and for many.
        key = holder.name, debtor.name
        payment = payments.setdefault(key, _Payment(holder, debtor))
        payment.take(entry)
        if len(payment.moments) >= RUNS_AT_ONCE:
            pay(payments.pop(key))
    for payment in payments.values():
        pay(payment)
    return done


def _tell(debtor: Member, deletion: Deletion, moments: Mapping[str, datetime]) -> None:
    debtor.ask(lambda backend: backend.record(deletion, moments))


def _member(chain: Chain, name: str, place: str, away: dict[str, str]) -> Member:
    """The member `name`, where it is well and still is what the entry says."""
    member = chain.member(name)
    if member is None:
        raise StorageError(
            f"{name} ({place}) is not configured any more; configure it again, or"
            f" `issuelake ledger hand-over {name} NAME`"
        )
    if member.place != place:
        raise StorageError(
            f"{name} was {place} and is {member.place} now; configure the former under another name, or"
            f" `issuelake ledger hand-over {name} {name}` if it has moved"
        )
    if name not in away:
        health = member.look()
        away[name] = "" if health.healthy else health.error or "it is not well"
    if away[name]:
        raise StorageError(away[name])
    return member


def _copy(payment: _Payment, done: Reconciled) -> dict[str, str]:
    """Copy the runs and look whether they are there; what is wrong with those that are not."""
    problems: dict[str, str] = {}
    ids = sorted(payment.moments)
    for start in range(0, len(ids), RUNS_AT_ONCE):
        part = {run_id: payment.moments[run_id] for run_id in ids[start : start + RUNS_AT_ONCE]}
        problems |= _copy_part(payment.holder, payment.debtor, part, done)
    return problems


def _copy_part(
    holder: Member, debtor: Member, moments: Mapping[str, datetime], done: Reconciled
) -> dict[str, str]:
    ids = list(moments)
    runs, issues = holder.read(lambda backend, _: _rows(backend, moments))
    if runs.num_rows:
        size = runs.nbytes + issues.nbytes
        done.runs_copied += debtor.ask(lambda backend: backend.append(runs, issues), size).runs_stored
    there = debtor.read(lambda backend, _: _stored(backend, ids))
    here = holder.read(lambda backend, _: _stored(backend, ids))
    problems = {}
    for run_id, entered_at in moments.items():
        wanted, found = here.get(run_id), there.get(run_id)
        if found is None:
            where = f"{debtor.name} does not have it" if wanted else f"{holder.name} has lost it"
            problems[run_id] = f"run {run_id!r} was not copied: {where}"
        elif wanted is None or found.stored_at > max(wanted.stored_at, entered_at):
            continue  # deleted, or overtaken
        elif (found.content_hash, found.issues) != (wanted.content_hash, wanted.issues):
            problems[run_id] = f"run {run_id!r} is another one in {debtor.name} than in {holder.name}"
    return problems


def _rows(backend: Backend, moments: Mapping[str, datetime]) -> tuple[pa.Table, pa.Table]:
    """Runs with their issues, as `Backend.append` takes copies of them; stored at their moment at least."""
    ids = list(moments)

    def fetch(connection: duckdb.DuckDBPyConnection) -> tuple[pa.Table, pa.Table]:
        owed = [ids, list(moments.values())]
        runs = connection.sql(sql("resources", "copied_runs"), params=owed).to_arrow_table()
        issues = connection.sql(sql("resources", "copied_issues"), params=[ids]).to_arrow_table()
        return runs, issues

    return backend.reading(fetch, tables=BOTH, pushdown=Pushdown(run_ids=tuple(ids)))


def _stored(backend: Backend, run_ids: Sequence[str]) -> dict[str, _Stored]:
    def fetch(connection: duckdb.DuckDBPyConnection) -> dict[str, _Stored]:
        rows = connection.execute(sql("resources", "copied_state"), [list(run_ids)]).fetchall()
        return {run_id: _Stored(*how) for run_id, *how in rows}

    return backend.reading(fetch, tables=BOTH, pushdown=Pushdown(run_ids=tuple(run_ids)))
