"""What people decided about problems: accepted for now or for good, false positive, or open again.

    triage/<name>.json      decisions that were made, or taken in, in one go

Decisions are never changed or removed, so all of them can be looked at later. Of a problem the one
with the latest moment holds, of equal moments the one with the greatest id, until its last day has
passed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from resources.errors import StorageError, UsageError
from resources.files import Files
from resources.lake import layout
from resources.session import sql

if TYPE_CHECKING:
    import duckdb

FOLDER = "triage"
REOPENED = "reopened"

LONGEST = 10_000
"""Characters of a reason or a name."""

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
        for name, text in (("reason", self.reason), ("actor", self.actor)):
            if not text.strip() or len(text) > LONGEST:
                raise ValueError(f"{name} must be a text of 1 to {LONGEST} characters")
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise ValueError(f"{name} has half a surrogate pair, which is not a character")
        if self.decision == REOPENED and self.until is not None:
            raise ValueError("what is reopened has no day until which it holds")

    @property
    def id(self) -> str:
        """Identity of the decision: 32 hex digits of a hash of all that it says."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:32]


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
    known = {decision.id for decision in made(files)}
    fresh = {decision.id: decision for decision in decisions if decision.id not in known}
    if fresh:
        ordered = sorted(fresh.values(), key=_order)
        path = f"{FOLDER}/{layout.content_name(fresh)}.json"
        files.publish(path, msgspec.json.encode(ordered))
    return len(fresh)


def made(files: Files) -> list[Decision]:
    """Every decision that was ever made, oldest first, each once. Raises `StorageError`."""
    found: dict[str, Decision] = {}
    paths = sorted(entry.path for entry in files.find(FOLDER) if entry.path.endswith(".json"))
    for path, name in zip(paths, files.paths(paths), strict=True):
        with open(name, "rb") as file:
            content = file.read()
        try:
            decisions = msgspec.json.decode(content, type=list[Decision])
        except msgspec.MsgspecError as error:
            raise StorageError(f"{path} in {files.url} does not hold decisions: {error}.") from None
        found |= {decision.id: decision for decision in decisions}
    return sorted(found.values(), key=_order)


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


def _order(decision: Decision) -> tuple[datetime, str]:
    return decision.decided_at, decision.id
