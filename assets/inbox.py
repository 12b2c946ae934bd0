"""The inbox: a folder (or any fsspec URL) where run files are dropped, and wait to be ingested.

A file leaves the inbox when everything that it delivered is durable, as runs or as rejected bytes,
and it is still the file that was read. One that was written to meanwhile stays, and is ingested
again as it is then.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from assets import sources
from assets.ingest import Ingested
from assets.sources import RunFile
from resources.errors import UsageError
from resources.files import modified_at, open_filesystem

SETTLED = timedelta(seconds=3)
"""A file that was written to this recently may not be whole yet."""

FIRST_RETRY = timedelta(minutes=1)
LAST_RETRY = timedelta(hours=1)

_CALLS = 16


@dataclass(frozen=True, slots=True)
class Inbox:
    """Where the inbox is. `storage_options` go to the fsspec storage of a URL."""

    url: str
    storage_options: dict[str, Any] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        return "://" not in self.url or self.url.startswith("file://")


@dataclass(frozen=True, slots=True)
class Waiting:
    """The run files in an inbox."""

    files: list[RunFile]

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def oldest(self) -> datetime | None:
        return min((file.modified for file in self.files if file.modified), default=None)

    @property
    def state(self) -> str:
        """A name for exactly these files as they are now (16 hex digits)."""
        lines = sorted(f"{file.name}\x1f{file.size}\x1f{file.modified}" for file in self.files)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def waiting(inbox: Inbox) -> Waiting:
    """What waits in the inbox; a local folder that is not there yet is made.

    Local files that may not be read are left out. Raises `StorageError`, and `UsageError` for a
    protocol that is unknown.
    """
    if inbox.is_local:
        folder = os.path.expanduser(inbox.url.removeprefix("file://"))
        os.makedirs(folder, exist_ok=True)
        found = sources.find([folder])
        return Waiting([file for file in found if os.access(file.path, os.R_OK)])
    open_filesystem(inbox.url, inbox.storage_options)
    try:
        return Waiting(sources.find([inbox.url], inbox.storage_options))
    except UsageError:  # the protocol is fine, so there is nothing at that address
        return Waiting([])


def settled(files: Waiting, now: datetime) -> Waiting:
    """Those that nobody has written to for `SETTLED`; a clock that is ahead holds nothing up."""
    return Waiting(
        [f for f in files.files if f.modified is None or not timedelta(0) <= now - f.modified < SETTLED]
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for last: for which state of the inbox, how often, and when (seconds since 1970)."""

    state: str
    times: int
    at: float

    @classmethod
    def from_cursor(cls, cursor: str | None) -> Asked | None:
        return cls(**json.loads(cursor)) if cursor else None

    @property
    def cursor(self) -> str:
        return json.dumps(asdict(self))

    @property
    def key(self) -> str:
        """Different for every time that an ingest is to run."""
        return f"{self.state}-{self.times}-{int(self.at)}"


def ask(files: Waiting, asked: Asked | None, now: datetime) -> Asked | None:
    """The ingest to ask for, if one is due.

    A state of the inbox is asked for once. When it is still the same a minute later, the ingest
    failed, so it is asked for again, and then after twice the time, up to an hour.
    """
    if not files.files:
        return None
    if asked is None or asked.state != files.state:
        return Asked(files.state, 1, now.timestamp())
    pause = min(FIRST_RETRY * 2 ** min(asked.times - 1, 16), LAST_RETRY)
    if now.timestamp() - asked.at < pause.total_seconds():
        return None
    return Asked(files.state, asked.times + 1, now.timestamp())


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the files that waited."""

    ingested: Ingested
    bytes: int
    removed: int
    kept: list[str]
    """Files that changed while they were read, and stay to be ingested again."""


def take_in(
    inbox: Inbox,
    ingesting: Callable[[Sequence[RunFile]], Ingested],
    report: Callable[[Ingested], None] | None = None,
) -> Taken:
    """Have `ingesting` ingest what waits in the inbox, then remove it.

    `report` is called when everything is durable and before the first file is removed, so that
    whoever must know of it can be told again should that fail. Raises `StorageError`; every file
    is still there then.
    """
    files = waiting(inbox)
    result = ingesting(files.files)
    if report is not None:
        report(result)
    kept = _remove(files.files)
    return Taken(result, files.bytes, len(files.files) - len(kept), kept)


def _remove(files: Sequence[RunFile]) -> list[str]:
    """Remove the files that are as they were found; the names of the others."""
    with ThreadPoolExecutor(_CALLS) as pool:
        removed = list(pool.map(_remove_unchanged, files))
    return [file.name for file, gone in zip(files, removed, strict=True) if not gone]


def _remove_unchanged(file: RunFile) -> bool:
    if file.fs is None:
        try:
            stat = os.stat(file.path)
        except FileNotFoundError:
            return True
        same = (stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC)) == (file.size, file.modified)
        if same:
            os.unlink(file.path)
        return same
    try:
        info = file.fs.info(file.path)
    except FileNotFoundError:
        return True
    moment = modified_at(info)
    modified = datetime.fromtimestamp(moment, UTC) if moment else None
    same = (info["size"], modified) == (file.size, file.modified)
    if same:
        file.fs.rm_file(file.path)
    return same
