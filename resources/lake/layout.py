"""Where things stand in a lake, and how its files are named.

    runs/run_date=2025-08-29/<name>.parquet      commits a batch: what is not here does not exist
    issues/run_date=2025-08-29/<name>.parquet    its twin, written first
    deleted/<name>.parquet                       run ids and the moment
    replaced/<name>.parquet                      on which other day a newer copy of a run may lie
    rejected/<batch>/…                           refused deliveries, byte for byte, and why
    index/<name>.parquet                         on which day a run id lies, for writers

Every file is immutable and named by its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from resources.errors import Vanished
from resources.files import Entry, Files
from resources.files.encrypted import refuse_encrypted

T = TypeVar("T")

RUNS = "runs"
ISSUES = "issues"
DELETED = "deleted"
REPLACED = "replaced"
REJECTED = "rejected"
INDEX = "index"

FOLDERS = (RUNS, ISSUES, DELETED, REPLACED, REJECTED, INDEX)

ATTEMPTS = 5
"""How often whoever reads lists again when compaction removes files under it."""

_DAY = "run_date="
_FEW_DAYS = 64
"""So many day folders are listed one by one, side by side; more are listed in one go."""
_FEW_FILES = 30
"""For each folder that need not be listed: with so many files of others a listing takes no longer."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One committed file of a day: its runs file, whose twin holds the issues."""

    day: date
    name: str
    size: int
    modified: float

    @property
    def runs_path(self) -> str:
        return data_path(RUNS, self.day, self.name)

    @property
    def issues_path(self) -> str:
        return data_path(ISSUES, self.day, self.name)


def data_path(table: str, day: date, name: str) -> str:
    return f"{table}/{_DAY}{day.isoformat()}/{name}.parquet"


def lake_path(local: str) -> str:
    """The path in the lake of the data file that is at `local` on this machine."""
    return "/".join(local.replace("\\", "/").split("/")[-3:])


def day_folder(table: str, day: date) -> str:
    return f"{table}/{_DAY}{day.isoformat()}"


def days(files: Files, first: date | None = None, last: date | None = None) -> list[date]:
    """The days of the lake that have files, oldest first, within the bounds (inclusive)."""
    found = filter(None, map(_day_of, files.folders(RUNS)))
    return sorted(day for day in found if (first or date.min) <= day <= (last or date.max))


def data_files(
    files: Files, days: Sequence[date] | None = None, table: str = RUNS, among: int | None = None
) -> list[DataFile]:
    """The files of `days` (of the whole lake: None), in the order of day and name.

    `among` is how many the lake has, about, where that is known: few are quicker listed in one go.
    Raises `StorageError` where one is encrypted with another key than that of `files`, or only one
    of the two has a key.
    """
    if days is None or len(days) > _FEW_DAYS or (among is not None and among < _FEW_FILES * len(days)):
        entries = files.find(table)
    else:
        entries = files.list_many([day_folder(table, day) for day in days])
    found = (_data_file(files, entry) for entry in entries)
    wanted = None if days is None else set(days)
    kept = [f for f in found if f is not None and (wanted is None or f.day in wanted)]
    return sorted(kept, key=lambda f: (f.day, f.name))


def parquet_paths(files: Files, folder: str) -> list[str]:
    """The Parquet files below `folder`, in order. Raises `StorageError` as `data_files`."""
    found = sorted(e.path for e in files.find(folder) if e.path.endswith(".parquet"))
    for path in found:
        refuse_encrypted(files, path)
    return found


def refuse_another_key(files: Files) -> None:
    """Raises `StorageError` where the newest files show that not all of the lake has the key of `files`."""
    data_files(files, days(files)[-1:])
    for folder in (DELETED, REPLACED, REJECTED, INDEX):
        parquet_paths(files, folder)


def relisting(work: Callable[[], T]) -> T:
    """What `work` answers; it is called again when a file that it listed has gone meanwhile."""
    for _ in range(ATTEMPTS - 1):
        with suppress(Vanished):
            return work()
    return work()


def content_name(parts: Iterable[str]) -> str:
    """A file name (32 hex digits) that depends on the set of `parts` and nothing else."""
    content = hashlib.sha256()
    for part in sorted(parts):
        content.update(f"{len(part)}:{part}".encode())
    return content.hexdigest()[:32]


def _data_file(files: Files, entry: Entry) -> DataFile | None:
    folder, _, name = entry.path.rpartition("/")
    day = _day_of(folder.rpartition("/")[2])
    if day is None or not name.endswith(".parquet"):
        return None
    if name.count(".") > 1:
        refuse_encrypted(files, entry.path)
    return DataFile(day, name.removesuffix(".parquet"), entry.size, entry.modified)


def _day_of(folder: str) -> date | None:
    if not folder.startswith(_DAY):
        return None
    try:
        return date.fromisoformat(folder.removeprefix(_DAY))
    except ValueError:
        return None
