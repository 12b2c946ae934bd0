"""What people decided about problems: accepted for now or for good, false positive, or open again.

    triage/<name>.json      decisions that were made, or taken in, in one go

Of a problem the last decision (`assets.records`) holds, until its last day has passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from assets import records
from resources.errors import UsageError
from resources.files import Files
from resources.session import sql

if TYPE_CHECKING:
    import duckdb

FOLDER = "triage"
REOPENED = "reopened"

Verdict = Literal["accepted", "false_positive", "reopened"]


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """One decision about one problem. `decided_at` is UTC; it holds through the day `until`.

    Raises `ValueError` where it says nothing that can be kept.
    """

    decided_at: Annotated[datetime, msgspec.Meta(tz=True)]
    fingerprint: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    decision: Verdict
    reason: str
    actor: str
    until: date | None = None

    def __post_init__(self) -> None:
        records.check_text(reason=self.reason, actor=self.actor)
        if self.decision == REOPENED and self.until is not None:
            raise ValueError("what is reopened has no day until which it holds")

    @property
    def moment(self) -> datetime:
        return self.decided_at


def decide(
    files: Files,
    fingerprints: Iterable[str],
    decision: Verdict,
    reason: str,
    actor: str,
    until: date | None = None,
) -> list[Decision]:
    """Write down a decision made now about each problem; durable on return.

    Raises `UsageError` for a text that is empty or too long, or a day that has passed; `StorageError`.
    """
    now = datetime.now(UTC)
    if until is not None and until < now.date():
        raise UsageError(f"--until {until} has passed: a decision holds through a day that is to come.")
    try:
        decided = [Decision(now, print, decision, reason, actor, until) for print in fingerprints]
    except ValueError as error:
        raise UsageError(f"The decision is not written down: {error}.") from None
    take_in(files, decided)
    return decided


def decisions_of(document: Any, source: str) -> list[Decision]:
    """The decisions in a list of mappings, as `triage export` writes them. Raises `UsageError`."""
    try:
        found = msgspec.convert(document, list[Decision])
    except msgspec.ValidationError as error:
        raise UsageError(f"{source} is no list of decisions: {error}.") from None
    return [msgspec.structs.replace(d, decided_at=d.decided_at.astimezone(UTC)) for d in found]


def take_in(files: Files, decisions: Iterable[Decision]) -> int:
    """Write down those of `decisions` that are not known yet; how many these were.

    Durable on return. Raises `StorageError`.
    """
    return records.take_in(files, FOLDER, Decision, decisions)


def made(files: Files) -> list[Decision]:
    """Every decision that was ever made, oldest first, each once. Raises `StorageError`."""
    return records.made(files, FOLDER, Decision)


def holding(decisions: Iterable[Decision], moment: datetime | None = None) -> dict[str, Decision]:
    """The last decision about each problem up to `moment` (UTC), whether or not its day has passed.

    `decisions` come oldest first. Problems that were opened again have none.
    """
    last = {d.fingerprint: d for d in decisions if moment is None or d.decided_at <= moment}
    return {print: d for print, d in last.items() if d.decision != REOPENED}


def standing(decisions: Sequence[Decision], moment: datetime) -> list[str]:
    """Of each of `decisions`, oldest first: whether it `holds`, has `expired`, or is `superseded`."""
    last = {decision.fingerprint: decision for decision in decisions}

    def state(decision: Decision) -> str:
        if last[decision.fingerprint] is not decision:
            return "superseded"
        return "holds" if decision.until is None or moment.date() <= decision.until else "expired"

    return [state(decision) for decision in decisions]


def define(connection: duckdb.DuckDBPyConnection, files: Files, moment: datetime | None = None) -> None:
    """Create the table `triage_decisions`: the last decision about each problem, as of `moment`."""
    found = holding(made(files), moment).values()
    columns = [
        [getattr(decision, name) for decision in found]
        for name in ("fingerprint", "decision", "decided_at", "actor", "reason", "until")
    ]
    selected = sql("assets.problems", "triage_decisions")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE triage_decisions AS {selected}", columns)
