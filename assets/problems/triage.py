"""What people decided about problems: accepted for now or for good, false positive, or open again.

    triage/<name>.json      decisions that were made, or taken in, in one go

Decisions are never changed or removed, so all of them can be looked at later. Of a problem the one
with the latest moment holds, of equal moments the one with the greatest id, until its last day has
passed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from resources.errors import StorageError
from resources.files import Files
from resources.lake import layout
from resources.session import sql

if TYPE_CHECKING:
    import duckdb

FOLDER = "triage"
REOPENED = "reopened"

Verdict = Literal["accepted", "false_positive", "reopened"]


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """One decision about one problem. `decided_at` is UTC; it holds through the day `until`."""

    decided_at: datetime
    fingerprint: str
    decision: Verdict
    reason: str
    actor: str
    until: date | None = None

    @property
    def id(self) -> str:
        """Identity of the decision: 32 hex digits of a hash of all that it says."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:32]


def decide(
    files: Files, fingerprint: str, decision: Verdict, reason: str, actor: str, until: date | None = None
) -> Decision:
    """Write down a decision made now; durable on return. Raises `StorageError`."""
    made = Decision(datetime.now(UTC), fingerprint, decision, reason, actor, until)
    take_in(files, [made])
    return made


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
