"""A folder whose Parquet files are encrypted. The name of each says with which key, so that a listing,
which everybody makes, shows a file that does not belong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from resources.encryption import Key
from resources.errors import StorageError
from resources.files.model import Entry, Files

T = TypeVar("T")

_PARQUET = ".parquet"
_KEY_NAME = re.compile(r"\.([0-9a-f]{12})\.parquet$")


class EncryptedFiles:
    """The files of `files`, seen without their key's name: `<name>.<key>.parquet` is `<name>.parquet`.

    Whoever writes Parquet encrypts it with `key` (`resources.lake.parquet.encode`); what is
    published here goes out as it is. Listing raises `StorageError` where a file has no key's name
    or that of another.
    """

    def __init__(self, files: Files, key: Key) -> None:
        self.url = files.url
        self.key = key
        self.inner = files
        self._suffix = f".{key.name}{_PARQUET}"

    def folders(self, path: str) -> list[str]:
        return self.inner.folders(path)

    def find(self, path: str) -> list[Entry]:
        return self._seen(self.inner.find(path))

    def list_many(self, paths: Sequence[str]) -> list[Entry]:
        return self._seen(self.inner.list_many(paths))

    def read(self, path: str) -> bytes:
        return self.inner.read(self._stored(path))

    def publish(self, path: str, data: bytes, renew: bool = False) -> None:
        self.inner.publish(self._stored(path), data, renew)

    def remove(self, path: str) -> None:
        self.inner.remove(self._stored(path))

    def sweep(self, before: float) -> None:
        self.inner.sweep(before)

    def paths(self, paths: Sequence[str]) -> list[str]:
        return self.inner.paths([self._stored(path) for path in paths])

    def using(self, work: Callable[[], T]) -> T:
        return self.inner.using(work)

    def _stored(self, path: str) -> str:
        return path.removesuffix(_PARQUET) + self._suffix if path.endswith(_PARQUET) else path

    def _seen(self, entries: Iterable[Entry]) -> list[Entry]:
        return [
            Entry(self._own(e.path), e.size, e.modified) if e.path.endswith(_PARQUET) else e for e in entries
        ]

    def _own(self, path: str) -> str:
        if path.endswith(self._suffix):
            return path.removesuffix(self._suffix) + _PARQUET
        if found := _KEY_NAME.search(path):
            raise StorageError(
                f"{path} in {self.url} is encrypted with the key {found[1]}, but encryption_key is the key"
                f" {self.key.name}: give the key that the lake was begun with."
            )
        raise StorageError(
            f"{path} in {self.url} is not encrypted, but an encryption_key is given: leave it out, or move"
            " the runs into a new lake that has one from the start."
        )


def refuse_encrypted(files: Files, path: str) -> None:
    """Raises `StorageError` where the name of a Parquet file says that it is encrypted.

    Files that are not encrypted have no dot in their names but the one before `parquet`.
    """
    if found := _KEY_NAME.search(path):
        raise StorageError(
            f"{path} in {files.url} is encrypted with the key {found[1]}, but no encryption_key is given:"
            " put it into the configuration of the storage."
        )
