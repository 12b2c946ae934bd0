"""What storing runs comes to: which are stored and how, and which are duplicates."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

import pyarrow as pa

from resources.lake.index import Copy
from resources.lake.marks import TICK

COPIED = "stored_at"
"""The column by which runs are known for copies out of another storage."""


@dataclass(slots=True)
class Appended:
    """What became of a batch: every run of it was stored or is a duplicate."""

    runs_stored: int = 0
    duplicates: int = 0
    issues_stored: int = 0
    days: set[date] = field(default_factory=set)
    duplicate_rows: set[int] = field(default_factory=set)
    """The rows of the batch's `runs` that are duplicates."""


@dataclass(slots=True)
class Verdict:
    """What storing must know of one run."""

    stored_at: datetime
    supersedes: str
    """The copy it replaces, if any; part of the batch's name, so that storing A, B and A again
    leaves three copies and not a file that is there already."""
    other_days: set[date]


def judge_copies(
    runs: pa.Table, known: dict[str, list[Copy]], deletions: dict[str, datetime]
) -> tuple[dict[int, Verdict], Appended]:
    """Which rows of `runs` are to be stored, and how; the others are duplicates.

    As `resources.lake.write.judge`, for runs (each once) that another storage has had since the
    moments `stored_at`.
    """
    result = Appended()
    verdicts: dict[int, Verdict] = {}
    columns = (runs[name].to_pylist() for name in ("validation_run_id", "content_hash", COPIED))
    for row, (run_id, content_hash, at) in enumerate(zip(*columns, strict=True)):
        copies = known.get(run_id, ())
        latest = max(copies, default=None)
        deleted_at = deletions.get(run_id)
        if deleted_at == at:  # it went away from here, and now comes back
            at += TICK
        counts = latest is not None and (deleted_at is None or latest.stored_at > deleted_at)
        moments = [copy.stored_at for copy in copies] + ([deleted_at] if deleted_at else [])
        floor = max(moments, default=None)
        if (counts and latest and latest.content_hash == content_hash) or (floor and floor >= at):
            result.duplicates += 1
            result.duplicate_rows.add(row)
            continue
        verdicts[row] = Verdict(at, f"{at}{latest.batch_id if latest else ''}", {c.day for c in copies})
    result.runs_stored = len(verdicts)
    return verdicts, result
