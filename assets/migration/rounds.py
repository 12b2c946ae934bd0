"""The rounds of a migration: runs, deletions, rejected deliveries, summaries; then, where it is a move,
the runs leave the source."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from assets import records, summary
from assets.days import DayVersion, versions
from assets.migration.comparing import (
    Amount,
    NotTheSame,
    check_counts,
    explain,
    held,
    held_seen,
    lacking,
    portions,
)
from assets.migration.copying import copy
from assets.migration.moving import MOVED_TO, remove
from assets.problems import triage
from assets.retention import outlines, pins
from resources.backend import Backend
from resources.errors import UsageError, Vanished
from resources.lake import layout
from resources.lake.marks import Deletion, safe_audit_id
from resources.lake.rejected import Rejected, carry_over, forget
from resources.lake.verdict import Appended

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

ROUNDS = 5
"""How often days are copied anew that others change meanwhile; what still changes then is reported."""

Progress = Callable[[Amount, Amount], None]
"""Called with what has been copied or found so far, and with all that there is."""


@dataclass(slots=True)
class Migrated:
    """What a migration did, or with `dry_run` would do."""

    days: int = 0
    days_skipped: int = 0
    """Days on which the target had everything already."""
    found: Amount = field(default_factory=Amount)
    """What the source has."""
    copied: Amount = field(default_factory=Amount)
    newer_in_target: int = 0
    deleted_in_target: int = 0
    """Runs that were deleted in the target after the source had stored them, and stay deleted."""
    deletions: int = 0
    rejected: int = 0
    summaries: int = 0
    removed: Amount = field(default_factory=Amount)
    """What left the source."""
    still_changing: list[date] = field(default_factory=list)
    """Days that others changed to the last: run the migration once more."""
    seconds: float = 0.0


def migrate(
    source: Backend,
    target: Backend,
    actor: str,
    *,
    dry_run: bool = False,
    move: bool = False,
    progress: Progress | None = None,
) -> Migrated:
    """Copy everything from `source` to `target`; durable, and compared with the source, on return.

    With `move` the runs that were copied are then deleted in the source in the name of `actor`, and
    the rejected deliveries removed. Raises `NotTheSame` and `StorageError`; what was
    copied by then stays, nothing of the source has gone that was not compared before, and the
    next call goes on from there.
    """
    started = time.monotonic()
    if not dry_run:
        _check_two(source, target)
    migration = _Migration(source, target, dry_run, progress)
    migration.copy_in_rounds()
    if not dry_run:
        migration.copy_the_rest()
        if move:
            migration.remove(actor)
    migration.result.seconds = round(time.monotonic() - started, 3)
    return migration.result


def _check_two(source: Backend, target: Backend) -> None:
    """Raises `UsageError` where both are one storage, whatever they are called: a move would empty it."""
    probe = f"migration/{uuid4().hex}"
    target.files.publish(probe, b"")
    try:
        source.files.read(probe)
    except Vanished:
        return
    finally:
        target.files.remove(probe)
    raise UsageError(f"{source.url} and {target.url} are the same storage: give two.")


class _Migration:
    def __init__(self, source: Backend, target: Backend, dry_run: bool, progress: Progress | None) -> None:
        self.result = Migrated()
        self._source = source
        self._target = target
        self._dry_run = dry_run
        self._progress = progress
        self._began = datetime.now(UTC)
        self._rejected: list[Rejected] = []
        self._seen: dict[date, DayVersion] = {}
        """The days that have been compared, as they were then."""
        self._skipped: set[date] = set()
        self._newer: set[str] = set()
        self._carried: set[str] = set()
        self._kept: set[str] = set()
        """Runs that the target has deleted: nobody else has them, so a move leaves them."""

    def copy_in_rounds(self) -> None:
        """Copy runs and deletions until the source is as it was when it was compared."""
        days = self._days()
        for day in days.values():
            self.result.found.add(day.runs, day.issues)
        for _ in range(ROUNDS):
            done = Amount()
            for portion in portions([day for day in days.values() if self._seen.get(day.day) != day]):
                self._copy_portion(portion, done)
            self._seen = days
            if not self._dry_run:
                self._copy_deletions()
            days = self._days()
            if self._dry_run or days == self._seen:
                break
        changed = dict(days.items() ^ self._seen.items())
        self._seen = {day: seen for day, seen in self._seen.items() if day not in changed}
        self.result.still_changing = sorted(changed)
        self.result.days = len(days)
        self.result.days_skipped = len(self._skipped)
        self.result.newer_in_target = len(self._newer)
        self.result.deleted_in_target = len(self._kept)

    def _days(self) -> dict[date, DayVersion]:
        """What the days of the source hold now."""
        return {day.day: day for day in versions(self._source, self._source.days())}

    def _copy_portion(self, portion: list[DayVersion], done: Amount) -> None:
        span = portion[0].day, portion[-1].day
        before = Amount(done.runs, done.issues)

        def stored(appended: Appended, runs: int, issues: int) -> None:
            self.result.copied.add(appended.runs_stored, appended.issues_stored)
            advance(runs, issues)

        def advance(runs: int, issues: int) -> None:
            done.add(runs, issues)
            if self._progress is not None:
                self._progress(done, self.result.found)

        def work(connection: duckdb.DuckDBPyConnection) -> pa.Table:
            done.runs, done.issues = before.runs, before.issues  # this may be another attempt
            theirs = held_seen(connection, *span)
            check_counts(theirs, self._source)
            missing = lacking(theirs, held(self._target, *span))
            if missing.num_rows and not self._dry_run:
                copy(connection, self._target, missing, span, stored)
                left = lacking(theirs, held(self._target, *span))
                if left.num_rows:
                    outcome = explain(left, self._source, self._target)
                    self._newer |= outcome.newer
                    self._kept |= outcome.deleted
            return missing

        missing = self._source.reading(work, *span)
        if self._dry_run:
            self.result.copied.add(missing.num_rows, sum(missing["issues"].to_pylist()))
        self._skipped |= {day.day for day in portion}
        self._skipped -= set(missing["run_date"].to_pylist())
        wanted = Amount(before.runs, before.issues)
        for day in portion:
            wanted.add(day.runs, day.issues)
        advance(max(0, wanted.runs - done.runs), max(0, wanted.issues - done.issues))

    def _copy_deletions(self) -> None:
        there = {_facts(deletion) for deletion in self._target.deletions()}
        carried = [
            replace(deletion, audit_id=safe_audit_id(deletion.audit_id))
            for deletion in self._source.deletions()
            if MOVED_TO not in (deletion.query or {})
        ]
        for deletion in carried:
            # One that was made since we began may have been too late for a copy that was under way.
            if _facts(deletion) not in there or deletion.deleted_at >= self._began:
                self._target.record(deletion, self._source.deleted_runs(deletion.audit_id))
                self._carried.add(deletion.audit_id)
        self.result.deletions = len(self._carried)
        lost = {_facts(deletion) for deletion in carried} - {_facts(d) for d in self._target.deletions()}
        if lost:
            raise NotTheSame(
                f"{self._target.url} does not answer {len(lost)} records of deletions as {self._source.url}"
                " does; nothing was removed. Begin again."
            )

    def copy_the_rest(self) -> None:
        """Rejected deliveries, decisions about problems, pins, what stayed of retired runs; and the
        summaries that there were, made anew, since they are of batches."""
        self._rejected = carry_over(self._source.files, self._target.files)
        self.result.rejected = len(self._rejected)
        outlines.carry_over(self._source.files, self._target.files)
        triage.take_in(self._target.files, triage.made(self._source.files))
        records.take_in(self._target.files, pins.FOLDER, pins.Pin, pins.made(self._source.files))
        folders = self._source.files.folders(summary.DAILY_SUMMARY)
        for day in summary.outdated(self._target):
            if layout.day_folder(summary.DAILY_SUMMARY, day).rpartition("/")[2] in folders:
                # Of days on which the target is at odds with itself its own checks tell.
                with suppress(summary.CountsDisagree):
                    summary.summarise(self._target, day)
                    self.result.summaries += 1

    def remove(self, actor: str) -> None:
        """Delete in the source what was compared."""
        compared = list(self._seen.values())
        removed, changed = remove(self._source, self._target.url, compared, self._kept, actor)
        self.result.removed = removed
        self.result.still_changing = sorted({*self.result.still_changing, *changed})
        forget(self._source.files, self._rejected)


def _facts(deletion: Deletion) -> tuple[object, ...]:
    """What a deletion says of itself, in a form that can be looked up."""
    query = repr(sorted((deletion.query or {}).items()))
    moment = deletion.deleted_at
    return deletion.audit_id, moment, deletion.actor, query, deletion.runs_deleted, deletion.issues_deleted
