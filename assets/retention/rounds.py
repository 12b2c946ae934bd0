"""A round of retention over the backends of a configuration, each by its own `max_history`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from assets.retention import pins
from assets.retention.choosing import Leaving, leaving
from assets.retention.retire import retire
from assets.retention.rules import Policy
from resources.backend import Backend
from resources.config import Opened
from resources.errors import IssuelakeError, StorageError
from resources.selection.member import Member

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

    With `dry_run` nothing goes. A backend that fails is a problem of its own. Raises `StorageError`
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
    return [_retain(one, policy, pinned, owed, now, settled, dry_run) for one in backends]


def _retain(
    one: _One,
    policy: Policy,
    pinned: set[str],
    owed: set[str],
    now: datetime,
    settled: datetime,
    dry_run: bool,
) -> Retained:
    done = Retained(one.name, one.max_history)

    def work(lake: Backend) -> None:
        done.leaving = leaving(lake, policy, one.max_history, pinned | owed, now, settled)
        if done.leaving and not dry_run:
            done.audit_ids = retire(lake, done.leaving)

    try:
        one.ask(work)
    except IssuelakeError as error:
        done.problem = f"{one.name}: {error}"
    return done


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
