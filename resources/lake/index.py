"""On which day does a run id lie? A writer's question, answered in milliseconds.

A segment is a Parquet file of (id hash, day) sorted by hash; its footer names the data files it
covers. Files that no segment covers yet are read themselves. A segment is only ever a hint where
to look: what it points to is read before anything is decided, so a stale one costs time, never a
run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from resources.encryption import Key
from resources.files import Files
from resources.lake import layout
from resources.lake.layout import DataFile
from resources.lake.parquet import encode, footer, open_file, read_table, telling

FILES_PER_SEGMENT = 128
"""So many files outside of any segment are worth one."""

SEGMENTS = 8
"""More segments than this are made into one."""

_COLUMNS = ("validation_run_id", "content_hash", "stored_at", "batch_id")
_SCHEMA = pa.schema([pa.field("id_hash", pa.uint64(), False), pa.field("run_date", pa.date32(), False)])


@dataclass(frozen=True, slots=True, order=True)
class Copy:
    """One stored copy of a run. The greatest by (`stored_at`, `batch_id`) is the one that counts."""

    stored_at: datetime
    batch_id: str
    content_hash: str
    day: date


class Index:
    """Finds the copies of runs; remembers what it has read, since files never change."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._read: dict[tuple[date, str], pa.Table] = {}
        self._known: tuple[int, set[str]] | None = None
        """How many segments there were, and what they cover, when they were looked at last."""

    def copies(self, run_ids: Iterable[str], listing: Sequence[DataFile]) -> dict[str, list[Copy]]:
        """Every copy of `run_ids` in the files of `listing`; ids without one are left out."""
        if not listing:
            self._known = 0, set()
            return {}
        wanted = pa.array(sorted(set(run_ids)), pa.string())
        return self._files.using(lambda: self._copies(wanted, listing))

    def _copies(self, wanted: pa.Array, listing: Sequence[DataFile]) -> dict[str, list[Copy]]:
        segments = self._segments(layout.parquet_paths(self._files, layout.INDEX))
        covered = {name for segment in segments for name in footer(segment)}
        self._known = len(segments), covered
        uncovered = [f for f in listing if _key(f) not in covered]
        indexed_days: set[date] = set()
        if segments:
            hashes = pa.array(sorted(map(id_hash, wanted.to_pylist())), pa.uint64())
            indexed_days.update(
                day for segment in segments for day in _days_of(segment, hashes, self._files.key)
            )
        candidates = [f for f in listing if _key(f) in covered and f.day in indexed_days]
        found = self.copies_in([*uncovered, *candidates], wanted)
        self._read = {k: t for k, t in self._read.items() if f"{k[0]}/{k[1]}" not in covered}
        return found

    def copies_in(self, data_files: Sequence[DataFile], wanted: pa.Array) -> dict[str, list[Copy]]:
        """Every copy of the ids `wanted` in `data_files`, all of which are read."""
        found: dict[str, list[Copy]] = {}
        for data_file, rows in zip(data_files, self._rows(data_files), strict=True):
            rows = rows.filter(pc.is_in(rows["validation_run_id"], wanted))
            for run_id, content_hash, stored_at, batch_id in zip(
                *(rows[c].to_pylist() for c in _COLUMNS), strict=True
            ):
                copy = Copy(stored_at, batch_id, content_hash, data_file.day)
                found.setdefault(run_id, []).append(copy)
        return found

    def tidy(self, listing: Sequence[DataFile], fold: bool = False) -> None:
        """Write a segment where many files have none, and one for all where segments are many.

        With `fold`, one segment over exactly the files of `listing` takes the place of all others.
        """
        if not fold and self._known is not None:
            count, covered = self._known
            if count <= SEGMENTS and sum(_key(f) not in covered for f in listing) < FILES_PER_SEGMENT:
                return  # as nearly always, and then the storage need not be asked
        self._files.using(lambda: self._tidy(listing, fold))

    def _tidy(self, listing: Sequence[DataFile], fold: bool) -> None:
        paths = layout.parquet_paths(self._files, layout.INDEX)
        segments = self._segments(paths)
        if fold or len(segments) > SEGMENTS:
            name = self._merge(segments, listing)
            for path in paths:
                if path != name:
                    self._files.remove(path)
            return
        covered = {name for segment in segments for name in footer(segment)}
        uncovered = [f for f in listing if _key(f) not in covered]
        if len(uncovered) >= FILES_PER_SEGMENT:
            self._write(uncovered, self._hashed(uncovered))

    def _merge(self, segments: Sequence[pq.ParquetFile], listing: Sequence[DataFile]) -> str:
        """One segment over `listing`. Only files of days that have changed since `segments` are read."""
        listed = {_key(f) for f in listing}
        known: set[str] = set()
        parts = []
        for segment in segments:
            days = {key: date.fromisoformat(key.partition("/")[0]) for key in footer(segment)}
            changed = {day for key, day in days.items() if key not in listed}
            known.update(key for key, day in days.items() if day not in changed)
            with telling("a segment of the index", self._files.key):
                rows = segment.read()
            gone = pc.is_in(rows["run_date"], pa.array(sorted(changed), pa.date32()))
            parts.append(rows.filter(pc.invert(gone)))
        parts += self._hashed([f for f in listing if _key(f) not in known])
        return self._write(listing, parts)

    def _hashed(self, data_files: Sequence[DataFile]) -> list[pa.Table]:
        """The entries of each of `data_files`."""
        names = self._files.paths([f.runs_path for f in data_files])
        return [self._entries(f.day, name) for f, name in zip(data_files, names, strict=True)]

    def _entries(self, day: date, name: str) -> pa.Table:
        ids = read_table(name, ("validation_run_id",), key=self._files.key)["validation_run_id"]
        hashes = pa.array([id_hash(i) for i in ids.to_pylist()], pa.uint64())
        return pa.table([hashes, pa.repeat(pa.scalar(day, pa.date32()), len(hashes))], _SCHEMA)

    def _write(self, data_files: Sequence[DataFile], parts: Sequence[pa.Table]) -> str:
        """Publish a segment over `data_files`, whose entries are `parts`; its path."""
        # Several parts have the same entries where two writers saw to the same files.
        table = pa.concat_tables(parts).group_by(_SCHEMA.names).aggregate([]).cast(_SCHEMA)
        keys = [_key(f) for f in data_files]
        path = f"{layout.INDEX}/{layout.content_name(keys)}.parquet"
        self._files.publish(path, encode(table.sort_by("id_hash"), keys, key=self._files.key))
        return path

    def _segments(self, paths: list[str]) -> list[pq.ParquetFile]:
        return [open_file(name, key=self._files.key) for name in self._files.paths(paths)]

    def _rows(self, data_files: Sequence[DataFile]) -> list[pa.Table]:
        known = self._read  # another thread may put a smaller one in its place meanwhile
        missing = [f for f in data_files if (f.day, f.name) not in known]
        read = self._files.using(lambda: self._read_files(missing))
        self._read = known = known | dict(zip([(f.day, f.name) for f in missing], read, strict=True))
        return [known[f.day, f.name] for f in data_files]

    def _read_files(self, data_files: Sequence[DataFile]) -> list[pa.Table]:
        names = self._files.paths([f.runs_path for f in data_files])
        return [read_table(name, _COLUMNS, key=self._files.key) for name in names]


def id_hash(run_id: str) -> int:
    """64 bits of a run id's hash, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(run_id.encode(), digest_size=8).digest(), "big")


def _key(data_file: DataFile) -> str:
    return f"{data_file.day}/{data_file.name}"


def _days_of(segment: pq.ParquetFile, hashes: pa.Array, key: Key | None) -> set[date]:
    """The days that `segment` gives for `hashes` (sorted), reading only the row groups that may hold one."""
    found: set[date] = set()
    for number in range(segment.metadata.num_row_groups):
        bounds = segment.metadata.row_group(number).column(0).statistics
        low, high = pa.scalar(bounds.min, hashes.type), pa.scalar(bounds.max, hashes.type)
        inside = pc.and_(pc.greater_equal(hashes, low), pc.less_equal(hashes, high))
        if pc.any(inside).as_py():
            with telling("a segment of the index", key):
                rows = segment.read_row_group(number)
            found.update(rows.filter(pc.is_in(rows["id_hash"], hashes))["run_date"].to_pylist())
    return found
