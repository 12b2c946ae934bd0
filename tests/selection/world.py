"""Several lakes in folders, each of which can be made to fail in the ways that storages fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from resources.backends.settings import Settings
from resources.errors import StorageError
from resources.files import Entry, LocalFiles
from resources.lake import Lake
from resources.selection.chain import Chain
from resources.selection.member import Member
from resources.selection.selected import Selected
from resources.selection.trace import Trace

T = TypeVar("T")

WELL, REFUSES, HANGS, READ_ONLY = "well", "refuses", "hangs", "read-only"
INTERVAL = 0.2
"""Seconds for which a lake that failed is left alone."""
DEADLINE = 1.0


class Switched(LocalFiles):
    """A folder that is well, refuses every call, hangs in it, or takes no writes."""

    def __init__(self, root: str, state: Callable[[], str]) -> None:
        super().__init__(root)
        self._state = state

    def folders(self, path: str) -> list[str]:
        return self._step(lambda: super(Switched, self).folders(path))

    def find(self, path: str) -> list[Entry]:
        return self._step(lambda: super(Switched, self).find(path))

    def list_many(self, paths: Sequence[str]) -> list[Entry]:
        return self._step(lambda: super(Switched, self).list_many(paths))

    def read(self, path: str) -> bytes:
        return self._step(lambda: super(Switched, self).read(path))

    def paths(self, paths: Sequence[str]) -> list[str]:
        return self._step(lambda: super(Switched, self).paths(paths))

    def publish(self, path: str, data: bytes, renew: bool = False) -> None:
        self._step(lambda: super(Switched, self).publish(path, data, renew), writes=True)

    def remove(self, path: str) -> None:
        self._step(lambda: super(Switched, self).remove(path), writes=True)

    def _step(self, work: Callable[[], T], writes: bool = False) -> T:
        while self._state() == HANGS:
            time.sleep(0.01)
        if self._state() == REFUSES or (writes and self._state() == READ_ONLY):
            raise StorageError(f"{self.url} {self._state()}")
        return work()


class SwitchedLake(Settings, kw_only=True):
    """A lake whose state is looked up in `states` by its name."""

    name: str
    folder: str
    priority: int = 1
    timeout_seconds: float = DEADLINE
    health_check_interval: float = INTERVAL

    states: ClassVar[dict[str, str]] = {}

    def place(self) -> str:
        return self.folder

    def open(self) -> Lake:
        return Lake(Switched(self.folder, lambda: self.states.get(self.folder, WELL)))


class World:
    """The lakes `names` below `folder`, the first preferred; the last holds the ledger."""

    def __init__(self, folder: Path, names: Sequence[str], **keys: dict[str, Any]) -> None:
        self.folder = folder
        self._settings = {
            name: SwitchedLake(name=name, folder=str(folder / name), **keys.get(name, {})) for name in names
        }

    def set(self, name: str, state: str) -> None:
        SwitchedLake.states[str(self.folder / name)] = state

    def lake(self, name: str) -> Lake:
        """The lake alone, as it is on disk."""
        return Lake(LocalFiles(str(self.folder / name)))

    def chain(self) -> Chain:
        """What a process that starts now has."""
        files = LocalFiles(str(self.folder / "notes"))
        return Chain(
            [Member(name, name, settings, lambda: files) for name, settings in self._settings.items()],
            lambda: files,
        )


def begin(chain: Chain) -> Selected:
    return Selected(chain, Trace(chain.preferred.name))


def rested() -> None:
    """Wait until what failed may be asked again."""
    time.sleep(INTERVAL + 0.05)
