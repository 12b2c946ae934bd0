"""Storage as the lake sees it: whole files, listed, read, published and removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from resources.encryption import Key

T = TypeVar("T")

TEMPORARY_SUFFIX = ".part"
"""Never ends in `.parquet`, so no reader, ours or another engine's, takes it for data."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored file: path below the root, size in bytes, modification time in seconds since 1970."""

    path: str
    size: int
    modified: float


class Files(Protocol):
    """A folder of files on some storage. Paths are relative to the root, with forward slashes.

    Raises `StorageError`, or `Vanished` where a file that is asked for does not exist.
    """

    url: str
    """Where it is, without secrets."""

    @property
    def key(self) -> Key | None:
        """What Parquet files must be encrypted with; None: they are not."""

    def folders(self, path: str) -> list[str]:
        """Names of the folders right below `path`; none when `path` does not exist."""

    def find(self, path: str) -> list[Entry]:
        """Every file below `path`, at any depth; none when `path` does not exist."""

    def list_many(self, paths: Sequence[str]) -> list[Entry]:
        """Every file right in one of `paths`."""

    def read(self, path: str) -> bytes:
        """The whole file."""

    def publish(self, path: str, data: bytes, renew: bool = False) -> None:
        """Make the file appear whole.

        One that is there already has the same content: it stays, or with `renew` is replaced, so
        that its modification time says that somebody counts on it.
        """

    def remove(self, path: str) -> None:
        """Remove a file; one that is gone already is no error."""

    def sweep(self, before: float) -> None:
        """Remove what killed writers left half written and nobody has touched since `before`."""

    def paths(self, paths: Sequence[str]) -> list[str]:
        """Local file names that hold the files, fetched side by side where they are elsewhere.

        What was fetched stays until the `using` ends that this is called in; outside of any, for good.
        """

    def using(self, work: Callable[[], T]) -> T:
        """What `work` answers, which opens what `paths` names by itself.

        Raises `StorageError` where the storage stops answering meanwhile; `work` may then go on
        for as long as nobody can stop it.
        """


def modified_at(info: dict[str, Any]) -> float:
    """The modification time in an fsspec listing, in seconds since 1970; 0 where it has none."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        moment = info.get(key)
        if isinstance(moment, int | float):
            return float(moment)
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        if isinstance(moment, datetime):
            return moment.timestamp()
    return 0.0
