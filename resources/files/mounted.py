"""A folder on a file server that is mounted on this machine. Its calls look like any on a local disk, but
while the server is away they do not return."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TypeVar

from resources.files.local import LocalFiles
from resources.files.model import Entry
from resources.files.patience import Patience

T = TypeVar("T")


class MountedFiles(LocalFiles):
    """A folder whose server may be away: a call gives up once it has not answered for `seconds`."""

    def __init__(self, root: str | Path, seconds: float) -> None:
        super().__init__(root)
        self._patience = Patience(self.url, self.ask, seconds)

    def ask(self) -> None:
        """Something that the server itself must answer: how much room there is, which nobody caches.

        Raises `OSError`.
        """
        with suppress(FileNotFoundError, PermissionError):  # which are answers
            os.statvfs(self.root)

    def folders(self, path: str) -> list[str]:
        return self.using(lambda: super(MountedFiles, self).folders(path))

    def find(self, path: str) -> list[Entry]:
        return self.using(lambda: super(MountedFiles, self).find(path))

    def list_many(self, paths: Sequence[str]) -> list[Entry]:
        return self.using(lambda: super(MountedFiles, self).list_many(paths))

    def read(self, path: str) -> bytes:
        return self.using(lambda: super(MountedFiles, self).read(path))

    def publish(self, path: str, data: bytes, renew: bool = False) -> None:
        self.using(lambda: super(MountedFiles, self).publish(path, data, renew))

    def remove(self, path: str) -> None:
        self.using(lambda: super(MountedFiles, self).remove(path))

    def sweep(self, before: float) -> None:
        self.using(lambda: super(MountedFiles, self).sweep(before))

    def _scan(self, path: str) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        try:
            return super()._scan(path)
        except FileNotFoundError:
            _look_anew(os.path.dirname(self._full(path)))
            return super()._scan(path)

    def _is_there(self, name: str) -> bool:
        _look_anew(os.path.dirname(name))
        return super()._is_there(name)

    def using(self, work: Callable[[], T]) -> T:
        return self._patience.wait_for(work)


def _look_anew(folder: str) -> None:
    """What is in `folder`, and what is not, this machine remembers for a while, whatever others do to
    it. At what it opens it looks anew."""
    with suppress(OSError):
        os.close(os.open(folder, os.O_RDONLY))
