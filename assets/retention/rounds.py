"""A round of retention over the backends of a configuration, each by its own `max_history`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from assets.retention import outlines, pins
from assets.retention.choosing import Leaving, leaving
from assets.retention.retire import retire
from assets.retention.rules import Policy
from assets.retention.tidy import tidy
from resources.backend import RUNS, Backend, Pushdown
from resources.config import Opened
from resources.errors import IssuelakeError, StorageError
from resources.selection.member import Member
from resources.session import sql

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

SETTLING = timedelta(hours=1)
"""Where several backends stand in for each other, what was stored so lately stays: whoever stored it
may still be entering into the ledger whom it is owed."""


@dataclass(slots=True)
class Retained:
    """What a round did with one backend, or with `dry_run` would do."""

    backend: str
    max_history: int
    leaving: list[Leaving] = field(default_factory=list)
    """Those that went, oldest first; where there is a `problem`, those that were to go."""
    audit_ids: list[str] = field(default_factory=list)
    """Under which `Backend.deletions` knows that they went."""
    problem: str | None = None

    @property
    def issues(self) -> int:
        return sum(run.issues for run in self.leaving)


@dataclass(frozen=True, slots=True)
class _One:
    """A backend that is in use, and how it is asked."""

    name: str
    max_history: int
    ask: Callable[[Callable[[Backend], Any]], Any]


def retain(
    opened: Opened, policy: Policy, dry_run: bool = False, settling: timedelta = SETTLING
) -> list[Retained]:
    """Let go what neither `policy` nor a backend's own `max_history` keeps, in every backend in use.

    A backend that stands in for another one lets go only what that one has, or had until its own
    rules took it: so the last copy of a run goes by the rules of the preferred backend alone. With
    `dry_run` nothing goes. A backend that fails is a problem of its own. Raises `StorageError`
    where it cannot be known which runs are pinned or owed: then nothing goes anywhere.
    """
    backends = _in_use(opened)
    now = datetime.now(UTC)
    settled = now
    owed: set[str] = set()
    if opened.chain is not None:
        settled -= settling
        owed = {run_id for entry in opened.chain.ledger.entries() for run_id in entry.run_ids}
    pinned: set[str] = set()
    for one in backends:
        try:
            pinned |= set(one.ask(lambda lake: pins.pinned(lake.files)))
        except IssuelakeError as error:
            raise StorageError(
                f"Nothing is retired, since {one.name} does not say which runs are pinned: {error}"
            ) from error
    first, *others = [_Round(one, policy, pinned | owed, now, settled, dry_run) for one in backends]
    return [first.go(), *(other.go(first.one) for other in others)]


@dataclass(frozen=True, slots=True)
class _Round:
    one: _One
    policy: Policy
    kept: Collection[str]
    now: datetime
    settled: datetime
    dry_run: bool

    def go(self, preferred: _One | None = None) -> Retained:
        """Let go what is to; where there is one that is `preferred`, only what that has had, too."""
        done = Retained(self.one.name, self.one.max_history)
        try:
            done.leaving = self.one.ask(self._chosen)
            if preferred is not None and done.leaving:
                done.leaving = preferred.ask(lambda lake: _known(lake, done.leaving))
            if done.leaving and not self.dry_run:
                done.audit_ids = self.one.ask(lambda lake: retire(lake, done.leaving))
            if not self.dry_run:
                self.one.ask(lambda lake: tidy(lake.files))
        except IssuelakeError as error:
            done.problem = f"{self.one.name}: {error}"
        return done

    def _chosen(self, lake: Backend) -> list[Leaving]:
        return leaving(lake, self.policy, self.one.max_history, self.kept, self.now, self.settled)


def _known(lake: Backend, runs: list[Leaving]) -> list[Leaving]:
    """Those of `runs` that `lake` has, or had before they were retired."""
    ids = [run.validation_run_id for run in runs]

    def known(connection: duckdb.DuckDBPyConnection) -> set[str]:
        rows = connection.execute(sql("assets.retention", "runs_known"), [ids]).fetchall()
        return {run_id for (run_id,) in rows}

    pushdown = Pushdown(columns=frozenset({"validation_run_id"}))
    there = outlines.reading(lake, known, tables=(RUNS,), pushdown=pushdown)
    return [run for run in runs if run.validation_run_id in there]


def _in_use(opened: Opened) -> list[_One]:
    if opened.chain is None:
        lake = opened.begin().backend
        settings = opened.active.settings
        return [_One(opened.active.name, settings.max_history, lambda work: work(lake))]
    return [
        _One(member.name, member.settings.max_history, partial(_ask, member))
        for member in opened.chain.members
    ]


def _ask(member: Member, work: Callable[[Backend], T]) -> T:
    return member.read(lambda backend, _: work(backend))
