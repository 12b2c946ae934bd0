"""The ledger: which batches are owed to which backend, and who holds them meanwhile.

    ledger/<moment>-<name>.json

It lies in `local_file`, which is always there. An entry is written after the batch is durable where it
went, and before it is acknowledged; so what is acknowledged is either where it belongs or stands
here. An entry is struck off when what it says is owed has been seen where it belongs. Entries never
change: one that loses some of its runs is written anew and then the old one is removed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Literal

import msgspec

from resources.errors import StorageError
from resources.files import Files
from resources.lake.layout import content_name
from resources.lake.marks import Deletion

FOLDER = "ledger"

_NEVER = datetime.min.replace(tzinfo=UTC)

Kind = Literal["batch", "deletion"]


class OwedRun(msgspec.Struct, frozen=True, array_like=True):
    """A run as its batch had it."""

    run_id: str
    content_hash: str
    day: date


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Runs that `held_by` has and `owed_to` is to get; or a deletion that `owed_to` is to hear of."""

    kind: Kind
    owed_to: str
    owed_place: str
    at: datetime
    runs: tuple[OwedRun, ...] = ()
    held_by: str = ""
    held_place: str = ""
    deletion: Deletion | None = None
    moments: dict[str, datetime] = {}
    """Of a deletion: up to when copies of each run are hidden (UTC)."""

    @property
    def entry_id(self) -> str:
        """What it is called; the same for the same entry."""
        content = msgspec.json.encode(self).decode()
        return f"{self.at:%Y%m%dT%H%M%S%f}-{content_name([content])[:16]}"

    @property
    def run_ids(self) -> set[str]:
        return {run.run_id for run in self.runs} | self.moments.keys()


class Ledger:
    """The entries in `files`, which many processes write to and strike off at once."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._known: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def entries(self) -> list[Entry]:
        """All of them, oldest first. Raises `StorageError`."""
        paths = sorted(e.path for e in self._files.list_many([FOLDER]) if e.path.endswith(".json"))
        with self._lock:
            self._known = {path: self._known[path] for path in paths if path in self._known}
            for path in paths:
                if path not in self._known and (entry := self._read(path)) is not None:
                    self._known[path] = entry
            return [self._known[path] for path in paths if path in self._known]

    def add(self, entry: Entry) -> None:
        """Make `entry` durable. Raises `StorageError`."""
        self._files.publish(_path(entry), msgspec.json.encode(entry))

    def strike(self, entry: Entry) -> None:
        """`entry` is owed no longer; one that has gone already is no error."""
        self._files.remove(_path(entry))

    def strike_runs(self, entries: Sequence[Entry], moments: Mapping[str, datetime]) -> None:
        """What `entries` had of the runs `moments` by then is owed no longer; the others still are."""
        for entry in entries:
            left = tuple(run for run in entry.runs if entry.at > moments.get(run.run_id, _NEVER))
            if entry.kind != "batch" or len(left) == len(entry.runs):
                continue
            if left:
                self.add(msgspec.structs.replace(entry, runs=left))
            self.strike(entry)

    def hand_over(self, entry: Entry, owed_to: str, owed_place: str) -> None:
        """`entry` is owed to another backend from now on."""
        self.add(msgspec.structs.replace(entry, owed_to=owed_to, owed_place=owed_place))
        self.strike(entry)

    def _read(self, path: str) -> Entry | None:
        try:
            raw = self._files.read(path)
        except StorageError:
            if any(entry.path == path for entry in self._files.list_many([FOLDER])):
                raise
            return None  # struck off meanwhile
        try:
            return msgspec.json.decode(raw, type=Entry)
        except msgspec.DecodeError as error:
            raise StorageError(
                f"{path} in {self._files.url} is not an entry of the ledger: {error}; put it aside and"
                " look where its runs are."
            ) from None


def now() -> datetime:
    return datetime.now(UTC)


def _path(entry: Entry) -> str:
    return f"{FOLDER}/{entry.entry_id}.json"
