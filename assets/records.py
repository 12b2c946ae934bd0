"""What people decided, as small files that are never changed or removed: one for what was said in one go.

    <folder>/<name>.json      a list of records

Of several records about the same thing the one with the latest moment holds, of equal moments the one
with the greatest id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol, TypeVar

import msgspec

from resources.errors import StorageError
from resources.files import Files
from resources.lake import layout

LONGEST = 10_000
"""Characters of a reason or a name."""


class Record(Protocol):
    """One record; `moment` is UTC."""

    @property
    def moment(self) -> datetime: ...


R = TypeVar("R", bound=Record)


def identity(record: Record) -> str:
    """32 hex digits of a hash of all that the record says."""
    return hashlib.sha256(msgspec.json.encode(record)).hexdigest()[:32]


def check_text(**texts: str) -> None:
    """Raises `ValueError` where one of `texts` says nothing that can be kept."""
    for name, text in texts.items():
        if not text.strip() or len(text) > LONGEST:
            raise ValueError(f"{name} must be a text of 1 to {LONGEST} characters")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError(f"{name} has half a surrogate pair, which is not a character")


def take_in(files: Files, folder: str, kind: type[R], records: Iterable[R]) -> int:
    """Write down those of `records` that are not known yet; how many these were.

    Durable on return. Raises `StorageError`.
    """
    known = {identity(record) for record in made(files, folder, kind)}
    fresh = {key: record for record in records if (key := identity(record)) not in known}
    if fresh:
        ordered = sorted(fresh.values(), key=_order)
        files.publish(f"{folder}/{layout.content_name(fresh)}.json", msgspec.json.encode(ordered))
    return len(fresh)


def made(files: Files, folder: str, kind: type[R]) -> list[R]:
    """Every record that there ever was, oldest first, each once. Raises `StorageError`."""
    found: dict[str, R] = {}
    paths = sorted(entry.path for entry in files.find(folder) if entry.path.endswith(".json"))
    for path, name in zip(paths, files.paths(paths), strict=True):
        with open(name, "rb") as file:
            content = file.read()
        try:
            records = msgspec.json.decode(content, type=list[kind])  # type: ignore[valid-type]
        except msgspec.MsgspecError as error:
            raise StorageError(f"{path} in {files.url} does not hold {folder}: {error}.") from None
        found |= {identity(record): record for record in records}
    return sorted(found.values(), key=_order)


def _order(record: Record) -> tuple[datetime, str]:
    return record.moment, identity(record)
