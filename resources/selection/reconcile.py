"""Paying what is owed: copied, verified by count and content, and only then struck off.

It can be interrupted anywhere and begun again, and two can be at it at once: a copy keeps the moment
at which it was stored, so storing it twice is storing it once, and one that the backend has a newer
version of changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from resources.backend import BOTH, Backend
from resources.errors import StorageError
from resources.selection.chain import Chain
from resources.selection.ledger import Entry
from resources.selection.member import Member
from resources.session import sql

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

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


def reconcile(chain: Chain, on_entry: Callable[[Entry], None] | None = None) -> Reconciled:
    """Pay what the ledger of `chain` says is owed to backends that are well.

    Raises `StorageError` where the ledger itself cannot be read; what else goes wrong is a problem of
    the entry, which then stays.
    """
    done = Reconciled()
    away: dict[str, str] = {}
    for entry in chain.ledger.entries():
        try:
            _pay(chain, entry, away, done)
        except StorageError as error:
            done.left += 1
            problem = f"{entry.owed_to}: {error}"
            if problem not in done.problems:
                done.problems.append(problem)
        else:
            done.struck += 1
        if on_entry is not None:
            on_entry(entry)
    return done


def _pay(chain: Chain, entry: Entry, away: dict[str, str], done: Reconciled) -> None:
    debtor = _member(chain, entry.owed_to, entry.owed_place, away)
    if entry.deletion is not None:
        deletion = entry.deletion
        debtor.ask(lambda backend: backend.record(deletion, entry.moments))
        done.runs_deleted += len(entry.moments)
    else:
        holder = _member(chain, entry.held_by, entry.held_place, away)
        ids = sorted(entry.run_ids)
        for start in range(0, len(ids), RUNS_AT_ONCE):
            done.runs_copied += _copy(holder, debtor, ids[start : start + RUNS_AT_ONCE], entry.at)
    chain.ledger.strike(entry)


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


def _copy(holder: Member, debtor: Member, run_ids: Sequence[str], entered_at: datetime) -> int:
    """Copy the runs and look whether they are there; how many were stored."""
    runs, issues = holder.read(lambda backend, _: _rows(backend, run_ids, entered_at))
    stored = 0
    if runs.num_rows:
        size = runs.nbytes + issues.nbytes
        stored = debtor.ask(lambda backend: backend.append(runs, issues), size).runs_stored
    there = debtor.read(lambda backend, _: _stored(backend, run_ids))
    here = holder.read(lambda backend, _: _stored(backend, run_ids))
    for run_id in run_ids:
        wanted, found = here.get(run_id), there.get(run_id)
        if found is None:
            where = f"{debtor.name} does not have it" if wanted else f"{holder.name} has lost it"
            raise StorageError(f"run {run_id!r} was not copied: {where}")
        if wanted is None or found.stored_at > max(wanted.stored_at, entered_at):
            continue  # deleted, or overtaken
        if (found.content_hash, found.issues) != (wanted.content_hash, wanted.issues):
            raise StorageError(f"run {run_id!r} is another one in {debtor.name} than in {holder.name}")
    return stored


def _rows(backend: Backend, run_ids: Sequence[str], entered_at: datetime) -> tuple[pa.Table, pa.Table]:
    """Runs with their issues, as `Backend.append` takes copies of them; stored at `entered_at` at least."""

    def fetch(connection: duckdb.DuckDBPyConnection) -> tuple[pa.Table, pa.Table]:
        ids = list(run_ids)
        runs = connection.sql(sql("resources", "copied_runs"), params=[ids, entered_at]).to_arrow_table()
        issues = connection.sql(sql("resources", "copied_issues"), params=[ids]).to_arrow_table()
        return runs, issues

    return backend.reading(fetch, tables=BOTH)


def _stored(backend: Backend, run_ids: Sequence[str]) -> dict[str, _Stored]:
    def fetch(connection: duckdb.DuckDBPyConnection) -> dict[str, _Stored]:
        rows = connection.execute(sql("resources", "copied_state"), [list(run_ids)]).fetchall()
        return {run_id: _Stored(*how) for run_id, *how in rows}

    return backend.reading(fetch, tables=BOTH)
