"""The two kinds of small records beside the data: deletions, and hints at newer copies.

A deletion hides every copy of a run stored up to its moment. A hint says that the copy of a run
on one day may have lost to a copy on another day, so that whoever reads the first day alone knows
to look at the second. It decides nothing: readers compare the copies themselves. A hint whose
batch was never committed is therefore harmless, and so is one that has been overtaken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from resources.files import Files
from resources.lake import layout
from resources.schema import Column, arrow_schema

_DELETIONS = (
    Column("validation_run_id", "string", False, "the run that was deleted"),
    Column("deleted_at", "timestamp", False, "copies stored up to this moment are hidden"),
)
_HINTS = (
    Column("validation_run_id", "string", False, "a run with copies on several days"),
    Column("run_date", "date", False, "whoever reads this day"),
    Column("other_date", "date", False, "must look at this one too"),
)


@dataclass(frozen=True, slots=True, order=True)
class Hint:
    """Whoever reads the run on `run_date` must also look at `other_date`."""

    run_id: str
    run_date: date
    other_date: date


def write_hints(files: Files, hints: Iterable[Hint]) -> None:
    """Make `hints` durable; none at all writes nothing."""
    ordered = sorted(set(hints))
    if ordered:
        rows = [(h.run_id, h.run_date, h.other_date) for h in ordered]
        _write(files, layout.REPLACED, _HINTS, rows)


def write_deletions(files: Files, moments: Mapping[str, datetime]) -> None:
    """Hide every copy of the runs stored up to their moments (UTC) from the next read on."""
    if moments:
        _write(files, layout.DELETED, _DELETIONS, sorted(moments.items()))


def read_hints(files: Files) -> list[Hint]:
    """Every hint of the lake."""
    return [
        Hint(row["validation_run_id"], row["run_date"], row["other_date"])
        for row in _rows(files, layout.REPLACED)
    ]


def read_deletions(files: Files) -> dict[str, datetime]:
    """Run ids and the latest moment (UTC) that they were deleted at."""
    latest: dict[str, datetime] = {}
    for row in _rows(files, layout.DELETED):
        run_id, moment = row["validation_run_id"], row["deleted_at"]
        latest[run_id] = max(moment, latest.get(run_id, moment))
    return latest


def _write(files: Files, folder: str, schema: tuple[Column, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    import pyarrow as pa

    from resources.lake.parquet import encode

    columns = [list(column) for column in zip(*rows, strict=True)]
    data = encode(pa.table(columns, arrow_schema(schema)))
    name = layout.content_name("\x1f".join(map(str, row)) for row in rows)
    files.publish(f"{folder}/{name}.parquet", data)


def _rows(files: Files, folder: str) -> Iterable[dict[str, Any]]:
    paths = [e.path for e in files.find(folder) if e.path.endswith(".parquet")]
    if not paths:  # as nearly always, and then a reader need not load pyarrow
        return
    import pyarrow.parquet as pq

    for name in files.paths(paths):
        yield from pq.ParquetFile(name).read().to_pylist()
