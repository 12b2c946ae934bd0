"""Rejected deliveries: kept byte for byte, with the place and the rule, until they are taken in.

rejected/<batch>/<id>-<name>        the bytes; <id>.parquet where the lake is encrypted, since names tell
rejected/<batch>/reasons.parquet    written after them
rejected/<batch>/taken-….parquet    ids that were taken in by a replay since
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from resources.contract import Rejection
from resources.errors import StorageError
from resources.files import Files
from resources.lake import layout
from resources.lake.parquet import decode, encode, read_table
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
_RAW = pa.schema([pa.field("raw", pa.large_binary(), False)])
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
        for path in [f"{folder}/{identity}{_ending(files, r.source)}"]
    }

    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(lambda item: _publish(files, *item), kept.values()))
    _publish_reasons(files, folder, [rejected for rejected, _ in kept.values()])


def content(files: Files, rejected: Rejected) -> bytes:
    """The bytes of `rejected` as they were delivered. Raises `StorageError`."""
    data = files.read(rejected.path)
    if files.key is None:
        return data
    return bytes(decode(data, key=files.key)["raw"][0].as_py())


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
        _note_taken(files, folder, {r.rejected_id for r in taken} - gone)
        for rejected in taken:  # also those whose bytes a crash has left behind
            files.remove(rejected.path)


def _note_taken(files: Files, folder: str, names: set[str]) -> None:
    if names:
        path = f"{folder}/taken-{layout.content_name(names)}.parquet"
        files.publish(path, encode(pa.table([sorted(names)], _TAKEN), key=files.key))


def carry_over(source: Files, target: Files) -> list[Rejected]:
    """Copy what is waiting in `source` to `target`, byte for byte; what of it is to wait there.

    What was taken in in `target` stays so. Raises `StorageError` where the bytes that are read back
    are others.
    """
    theirs = _batches(target)
    carried = []
    for folder, (rows, gone) in _batches(source).items():
        _, taken = theirs.get(folder, ([], set()))
        waiting_rows = [r for r in rows if r.rejected_id not in gone]
        for rejected in waiting_rows:
            if rejected.path.rpartition("/")[0] != folder:  # whoever wrote that meant no good
                raise StorageError(f"{folder} in {source.url} names the file {rejected.path!r} elsewhere.")
            if rejected.rejected_id not in taken:
                _carry(source, target, rejected)
                carried.append(rejected)
        if waiting_rows and folder not in theirs:
            _note_taken(target, folder, gone)  # before anybody sees that they are without bytes
            _publish_reasons(target, folder, [_placed(r, folder, target) for r in rows])
    return carried


def forget(files: Files, rejected: Iterable[Rejected]) -> None:
    """Remove deliveries that `carry_over` has carried elsewhere, as if they had never come.

    Those that were refused together with one that is still needed here stay.
    """
    ids = {r.rejected_id for r in rejected}
    for folder, (rows, gone) in _batches(files).items():
        if not {r.rejected_id for r in rows} - gone - ids:
            files.remove(f"{folder}/{_REASONS}")
            for entry in files.find(folder):
                files.remove(entry.path)


def _carry(source: Files, target: Files, rejected: Rejected) -> None:
    raw = content(source, rejected)
    there = _placed(rejected, rejected.path.rpartition("/")[0], target)
    _publish(target, there, raw)
    if content(target, there) != raw:
        raise StorageError(
            f"{there.path} in {target.url} has other bytes than in {source.url}:"
            " remove it there and begin again."
        )


def _placed(rejected: Rejected, folder: str, files: Files) -> Rejected:
    """`rejected` with the path that its bytes have in `files`, which may be encrypted or not."""
    path = f"{folder}/{rejected.rejected_id}{_ending(files, rejected.source)}"
    return dataclasses.replace(rejected, path=path)


def _publish(files: Files, rejected: Rejected, raw: bytes) -> None:
    data = raw if files.key is None else encode(pa.table([[raw]], _RAW), key=files.key)
    files.publish(rejected.path, data)


def _publish_reasons(files: Files, folder: str, rows: Sequence[Rejected]) -> None:
    schema = arrow_schema(COLUMNS)
    columns = [[getattr(rejected, name) for rejected in rows] for name in schema.names]
    files.publish(f"{folder}/{_REASONS}", encode(pa.table(columns, schema), key=files.key))


def table(files: Files) -> pa.Table:
    """What is waiting, as a table with the columns `COLUMNS`."""
    schema = arrow_schema(COLUMNS)
    rows = waiting(files)
    return pa.table([[getattr(r, name) for r in rows] for name in schema.names], schema)


def _batches(files: Files) -> dict[str, tuple[list[Rejected], set[str]]]:
    """What was rejected, and the ids of what was taken in since, by folder."""
    return files.using(lambda: _read(files))


def _read(files: Files) -> dict[str, tuple[list[Rejected], set[str]]]:
    entries = layout.parquet_paths(files, layout.REJECTED)
    reasons = [path for path in entries if path.endswith(f"/{_REASONS}")]
    notes = [path for path in entries if "/taken-" in path]
    taken: dict[str, set[str]] = {}
    for path, name in zip(notes, files.paths(notes), strict=True):
        ids = read_table(name, key=files.key)["rejected_id"].to_pylist()
        taken.setdefault(path.rpartition("/")[0], set()).update(ids)
    batches = {}
    for path, name in zip(reasons, files.paths(reasons), strict=True):
        folder = path.rpartition("/")[0]
        rows = read_table(name, key=files.key).to_pylist()
        batches[folder] = [Rejected(**row) for row in rows], taken.get(folder, set())
    return batches


def _identity(rejection: Rejection) -> str:
    content = hashlib.sha256(rejection.raw)
    content.update(f"\x1f{rejection.source}\x1f{rejection.position}".encode(errors="surrogateescape"))
    return content.hexdigest()[:16]


def _ending(files: Files, source: str) -> str:
    return f"-{_safe_name(source)}" if files.key is None else ".parquet"


def _safe_name(source: str) -> str:
    """The last part of `source`, made of letters that every storage takes, and not long."""
    name = source.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return _UNSAFE.sub("_", name)[-80:].lstrip(".") or "delivery"
