"""A lake published as a table of Iceberg or Delta, for those who want a catalogue.

What is published is a list of files in which every run that counts lies once: days of which that cannot
be said are compacted first. A round brings a table up to date in one commit, which takes away what
the lake has replaced or deleted since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from resources.backend import BOTH, Backend
from resources.errors import StorageError, UsageError
from resources.files import Files
from resources.lake import Lake, layout
from resources.lake.layout import DataFile
from resources.lake.marks import deletion_paths
from resources.lake.read import counting_files

FORMATS = ("iceberg", "delta")


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing one table did."""

    table: str
    place: str
    """What its readers open."""
    version: int | None
    """The table's version or snapshot; None where there was never anything to commit."""
    files: int
    rows: int
    files_added: int
    files_removed: int


class Publisher(Protocol):
    """A format of tables, and the place where they are."""

    def publish(self, lake: Files, table: str, data_files: Sequence[DataFile]) -> Published:
        """Bring `table` to exactly the files of that table that `data_files` have, in one commit.

        Raises `StorageError`, or `Vanished` where a file has gone meanwhile.
        """


def publish(
    backend: Backend, format: str, to: str, on_day: Callable[[date], None] | None = None
) -> list[Published]:
    """Bring the tables `runs` and `issues` at `to` to what `backend`, a lake, holds.

    Raises `UsageError` where that is no lake, an encrypted one, or cannot be told of at `to`, and
    `StorageError` where one of both places cannot be read or written.
    """
    if format not in FORMATS:
        raise UsageError(f"Unknown format {format!r}; known are {', '.join(FORMATS)}.")
    if not isinstance(backend, Lake):
        raise UsageError(
            f"{backend.url} is not one lake, and only a lake has files that a table can be made of: name it"
            " with --storage, or `issuelake migrate` to one first."
        )
    if backend.files.key is not None:
        raise UsageError(
            f"{backend.url} is encrypted, which {format} has no way to say: `issuelake migrate` to a lake"
            " without a key, where those who read the table may see everything, and publish that."
        )
    publisher = _publisher(format, to)

    def round() -> list[Published]:
        chosen = whole_days(backend, on_day)
        return [publisher.publish(backend.files, table, chosen) for table in BOTH]

    return layout.relisting(lambda: backend.files.using(round))


def whole_days(lake: Lake, on_day: Callable[[date], None] | None = None) -> list[DataFile]:
    """One file a day, in which each run that counts lies once and nothing else; all as of one moment.

    Days that have no such file are compacted. Raises `StorageError` where others change the lake faster.
    """
    for _ in range(layout.ATTEMPTS):
        before = _written(lake)
        counting, partly = counting_files(lake.files)
        files = Counter(file.day for file in counting)
        unfit = {file.day for file in partly} | {day for day in files if files[day] > 1}
        made = set()
        for day in sorted(unfit):
            made.add((day, lake.compact_day(day).name))
            if on_day is not None:
                on_day(day)
        listed = layout.data_files(lake.files)
        if _written(lake) - before <= made:
            chosen = {(file.day, file.name) for file in counting if file.day not in unfit} | made
            return [file for file in listed if (file.day, file.name) in chosen]
    raise StorageError(
        f"{lake.url} was written to each of the {layout.ATTEMPTS} times that its days were looked at: publish"
        " when fewer write."
    )


def _written(lake: Lake) -> set[tuple[date | str, str | None]]:
    """What decides which rows count: where nothing comes to it, the rows stay the same."""
    runs = {(file.day, file.name) for file in layout.data_files(lake.files)}
    return {*runs, *((layout.DELETED, path) for path in deletion_paths(lake.files))}


def _publisher(format: str, to: str) -> Publisher:
    if format == "iceberg":
        from assets.publishing.iceberg import Iceberg

        return Iceberg(to)
    from assets.publishing.delta import Delta

    return Delta(to)
