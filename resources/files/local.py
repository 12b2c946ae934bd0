"""A folder on this machine, with nothing but the standard library: a short command does not pay for
importing fsspec."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TypeVar

from resources.errors import StorageError, Vanished
from resources.files.model import TEMPORARY_SUFFIX, Entry

T = TypeVar("T")

GONE = frozenset({errno.ENOENT, errno.ESTALE})
"""What the system says of a file that is no more; the second where another machine has removed it."""


class LocalFiles:
    """A folder on this machine (or mounted on it)."""

    key = None

    def __init__(self, root: str | Path) -> None:
        self.root = os.path.abspath(root)
        self.url = self.root

    def folders(self, path: str) -> list[str]:
        try:
            with self._scan(path) as entries:
                return [e.name for e in entries if e.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed("list", path, error) from error

    def find(self, path: str) -> list[Entry]:
        found = self.list_many([path])
        for folder in self.folders(path):
            found += self.find(f"{path}/{folder}")
        return found

    def list_many(self, paths: Sequence[str]) -> list[Entry]:
        found: list[Entry | None] = []
        for path in paths:
            try:
                with self._scan(path) as entries:
                    found += [self._entry(path, e) for e in entries if not e.name.endswith(TEMPORARY_SUFFIX)]
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._failed("list", path, error) from error
        return [entry for entry in found if entry is not None]

    def read(self, path: str) -> bytes:
        try:
            with open(self._full(path), "rb") as file:
                return file.read()
        except OSError as error:
            if error.errno in GONE:
                raise Vanished(f"{path} is not in {self.url}: list again") from error
            raise self._failed("read", path, error) from error

    def publish(self, path: str, data: bytes, renew: bool = False) -> None:
        target = self._full(path)
        if not renew and self._is_there(target):
            return
        try:
            temporary = self._write_beside(target, data)
            self._rename(temporary, target)
        except OSError as error:
            raise self._failed("write", path, error) from error

    def remove(self, path: str) -> None:
        try:
            os.unlink(self._full(path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._failed("remove", path, error) from error

    def sweep(self, before: float) -> None:
        for folder, _, names in os.walk(self.root):
            for name in names:
                if name.endswith(TEMPORARY_SUFFIX):
                    # What cannot be removed now is removed another time.
                    with suppress(OSError):
                        if os.stat(f"{folder}/{name}").st_mtime < before:
                            os.unlink(f"{folder}/{name}")

    def paths(self, paths: Sequence[str]) -> list[str]:
        return [self._full(path) for path in paths]

    def using(self, work: Callable[[], T]) -> T:
        return work()

    def _scan(self, path: str) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        return os.scandir(self._full(path))

    def _is_there(self, name: str) -> bool:
        return os.path.exists(name)

    def _entry(self, folder: str, e: os.DirEntry[str]) -> Entry | None:
        try:
            stat = None if e.is_dir() else e.stat()
        except OSError as error:
            if error.errno in GONE:  # removed since the folder was read; the others in it still count
                return None
            raise
        return stat and Entry(f"{folder}/{e.name}", stat.st_size, stat.st_mtime)

    def _write_beside(self, target: str, data: bytes) -> str:
        """Write and sync `data` in a new file in the folder of `target`; its name."""
        folder = os.path.dirname(target)
        make_folders(folder)
        temporary = f"{folder}/.{os.urandom(8).hex()}{TEMPORARY_SUFFIX}"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with open(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):  # which would hide the first one
                os.unlink(temporary)
            raise
        return temporary

    def _rename(self, temporary: str, target: str) -> None:
        try:
            os.rename(temporary, target)
        except OSError:
            # A server that was away may refuse the second time what it did the first time.
            renamed = not os.path.lexists(temporary) and os.path.exists(target)
            with suppress(OSError):
                os.unlink(temporary)
            if not renamed:
                raise
        sync_folder(os.path.dirname(target))

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _failed(self, verb: str, path: str, error: OSError) -> StorageError:
        return StorageError(f"Could not {verb} {path or '.'} in {self.url}: {error.strerror or error}.")


def make_folders(folder: str) -> None:
    """Make `folder` and those above it; their names, too, must survive a crash of the machine."""
    try:
        os.stat(folder)
    except FileNotFoundError:
        parent = os.path.dirname(folder)
        make_folders(parent)
        os.makedirs(folder, exist_ok=True)
        sync_folder(parent)


def sync_folder(folder: str) -> None:
    """Make the names in `folder` survive a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
