"""The two kinds of small records beside the data: deletions, and hints at newer copies.

A deletion hides every copy of a run stored up to its moment. A hint says that the copy of a run
on one day may have lost to a copy on another day, so that whoever reads the first day alone knows
to look at the second. It decides nothing: readers compare the copies themselves. A hint whose
batch was never committed is therefore harmless, and so is one that has been overtaken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from resources.files import Files
from resources.lake import layout
from resources.lake.parquet import encode

_TIMESTAMP = pa.timestamp("us", tz="UTC")
_DELETIONS = pa.schema(
    [pa.field("validation_run_id", pa.string(), False), pa.field("deleted_at", _TIMESTAMP, False)]
)
_HINTS = pa.schema(
    [
        pa.field("validation_run_id", pa.string(), False),
        pa.field("run_date", pa.date32(), False),
        pa.field("other_date", pa.date32(), False),
    ]
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


def write_deletions(files: Files, run_ids: Iterable[str], moment: datetime) -> None:
    """Hide every copy of `run_ids` stored up to `moment` (UTC) from the next read on."""
    rows = [(run_id, moment) for run_id in sorted(set(run_ids))]
    if rows:
        _write(files, layout.DELETED, _DELETIONS, rows)


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


def _write(files: Files, folder: str, schema: pa.Schema, rows: Sequence[tuple[Any, ...]]) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    data = encode(pa.table(columns, schema))
    name = layout.content_name("\x1f".join(map(str, row)) for row in rows)
    files.publish(f"{folder}/{name}.parquet", data)


def _rows(files: Files, folder: str) -> Iterable[dict[str, Any]]:
    paths = [e.path for e in files.find(folder) if e.path.endswith(".parquet")]
    for name in files.paths(paths):
        yield from pq.ParquetFile(name).read().to_pylist()
