"""Rejected deliveries: kept byte for byte, with the place and the rule, until they are taken in.

rejected/<batch>/<id>-<name>        the bytes
rejected/<batch>/reasons.parquet    written after them
rejected/<batch>/taken-….parquet    ids that were taken in by a replay since
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from resources.contract import Rejection
from resources.files import Files
from resources.lake import layout
from resources.lake.parquet import encode, read_file
from resources.schema import Column, arrow_schema

COLUMNS = (
    Column("rejected_id", "string", False, "identity of the rejected delivery (16 hex digits)"),
    Column("source", "string", False, "the file or URL it came from"),
    Column("position", "int32", True, "line (NDJSON) or element (array), from 1; null: the whole file"),
    Column("pointer", "string", False, "JSON path of what is wrong"),
    Column("rule", "string", False, "the rule that it breaks"),
    Column("bytes", "int32", False, "size of what was delivered"),
    Column("rejected_at", "timestamp", False, "when it was rejected, microseconds, UTC"),
    Column("path", "string", False, "where its bytes are kept, below the lake's root"),
)

_REASONS = "reasons.parquet"
_TAKEN = pa.schema([pa.field("rejected_id", pa.string(), False)])
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_WRITERS = 8


@dataclass(frozen=True, slots=True)
class Rejected:
    """One rejected delivery as it is kept; the fields are those of `COLUMNS`."""

    rejected_id: str
    source: str
    position: int | None
    pointer: str
    rule: str
    bytes: int
    rejected_at: datetime
    path: str

    @property
    def reason(self) -> str:
        where = f" line or element {self.position}" if self.position is not None else ""
        return f"{self.source}{where}: {self.pointer}: {self.rule}"


def keep(files: Files, rejections: Sequence[Rejection]) -> None:
    """Make `rejections` durable; the same ones again change nothing."""
    if not rejections:
        return
    batch = layout.content_name(f"{_identity(r)}\x1f{r.reason}" for r in rejections)
    while any("/taken-" in entry.path for entry in files.find(f"{layout.REJECTED}/{batch}")):
        batch = layout.content_name([batch])  # taken in once, and now refused anew
    folder = f"{layout.REJECTED}/{batch}"
    now = datetime.now(UTC)
    kept = {
        identity: (Rejected(identity, r.source, r.position, r.pointer, r.rule, len(r.raw), now, path), r.raw)
        for r in rejections
        for identity in [_identity(r)]
        for path in [f"{folder}/{identity}-{_safe_name(r.source)}"]
    }
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(lambda item: files.publish(item[0].path, item[1]), kept.values()))
    schema = arrow_schema(COLUMNS)
    rows = [[getattr(rejected, name) for rejected, _ in kept.values()] for name in schema.names]
    files.publish(f"{folder}/{_REASONS}", encode(pa.table(rows, schema)))


def waiting(files: Files) -> list[Rejected]:
    """Everything that was rejected and not taken in since, oldest first, each once."""
    found: dict[str, Rejected] = {}
    for rows, gone in _batches(files).values():
        for rejected in rows:
            if rejected.rejected_id not in gone and (
                rejected.rejected_id not in found
                or rejected.rejected_at > found[rejected.rejected_id].rejected_at
            ):
                found[rejected.rejected_id] = rejected
    return sorted(found.values(), key=lambda r: (r.rejected_at, r.source, r.position or 0))


def take(files: Files, rejected_ids: Iterable[str]) -> None:
    """Strike `rejected_ids` off: their runs have been stored."""
    ids = set(rejected_ids)
    for folder, (rows, gone) in _batches(files).items():
        taken = [r for r in rows if r.rejected_id in ids]
        names = sorted({r.rejected_id for r in taken} - gone)
        if names:
            path = f"{folder}/taken-{layout.content_name(names)}.parquet"
            files.publish(path, encode(pa.table([names], _TAKEN)))
        for rejected in taken:  # also those whose bytes a crash has left behind
            files.remove(rejected.path)


def table(files: Files) -> pa.Table:
    """What is waiting, as a table with the columns `COLUMNS`."""
    schema = arrow_schema(COLUMNS)
    rows = waiting(files)
    return pa.table([[getattr(r, name) for r in rows] for name in schema.names], schema)


def _batches(files: Files) -> dict[str, tuple[list[Rejected], set[str]]]:
    """What was rejected, and the ids of what was taken in since, by folder."""
    return files.using(lambda: _read(files))


def _read(files: Files) -> dict[str, tuple[list[Rejected], set[str]]]:
    entries = [e.path for e in files.find(layout.REJECTED) if e.path.endswith(".parquet")]
    reasons = [path for path in entries if path.endswith(f"/{_REASONS}")]
    notes = [path for path in entries if "/taken-" in path]
    taken: dict[str, set[str]] = {}
    for path, name in zip(notes, files.paths(notes), strict=True):
        ids = read_file(name)["rejected_id"].to_pylist()
        taken.setdefault(path.rpartition("/")[0], set()).update(ids)
    batches = {}
    for path, name in zip(reasons, files.paths(reasons), strict=True):
        folder = path.rpartition("/")[0]
        rows = read_file(name).to_pylist()
        batches[folder] = [Rejected(**row) for row in rows], taken.get(folder, set())
    return batches


def _identity(rejection: Rejection) -> str:
    content = hashlib.sha256(rejection.raw)
    content.update(f"\x1f{rejection.source}\x1f{rejection.position}".encode(errors="surrogateescape"))
    return content.hexdigest()[:16]


def _safe_name(source: str) -> str:
    """The last part of `source`, made of letters that every storage takes, and not long."""
    name = source.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return _UNSAFE.sub("_", name)[-80:].lstrip(".") or "delivery"
