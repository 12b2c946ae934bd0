"""Nightly upkeep of a whole lake: what no single day's compaction can see."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from resources.errors import Vanished
from resources.files import Files
from resources.lake import layout
from resources.lake.compact import DEFAULT_GRACE, ORPHAN_AGE, Compacted, compact_day
from resources.lake.index import Index
from resources.lake.marks import Hint, read_hints, write_hints
from resources.lake.read import reading_sql
from resources.session import cursor


@dataclass(frozen=True, slots=True)
class Maintained:
    """What a round of upkeep did."""

    days: list[Compacted]
    hints_added: int


def maintain(
    files: Files,
    index: Index,
    grace: timedelta = DEFAULT_GRACE,
    compact: Callable[[Sequence[date]], Iterable[Compacted]] | None = None,
    on_day: Callable[[Compacted], None] | None = None,
) -> Maintained:
    """Add missing hints, compact every day, bring the index up to date.

    `compact` compacts days elsewhere than here, in their order.
    """
    hints_added = add_missing_hints(files)
    days = layout.days(files)
    compacted = []
    for done in (compact_day(files, day, grace) for day in days) if compact is None else compact(days):
        compacted.append(done)
        if on_day is not None:
            on_day(done)
    if any(c.written for c in compacted):
        layout.relisting(lambda: _fold(index, layout.data_files(files)))
    files.sweep(time.time() - ORPHAN_AGE.total_seconds())
    return Maintained(compacted, hints_added)


def _fold(index: Index, listing: list[layout.DataFile]) -> None:
    index.tidy(listing, fold=len(listing) > 1)


def add_missing_hints(files: Files) -> int:
    """Hint at every run that lies on several days; how many were missing.

    Writers leave these hints themselves, before they acknowledge. What is missing is what a
    writer was killed over between publishing and looking again.
    """
    missing = layout.relisting(lambda: files.using(lambda: _moved(files))) - set(read_hints(files))
    write_hints(files, missing)
    return len(missing)


def _moved(files: Files) -> set[Hint]:
    """A hint for every losing copy of a run that lies on several days."""
    import duckdb

    names = files.paths([f.runs_path for f in layout.data_files(files)])
    if not names:
        return set()
    with cursor(files.key) as connection:
        try:
            rows = connection.execute(reading_sql(files, "moved_runs"), [names]).fetchall()
        except duckdb.IOException as error:
            raise Vanished(f"Could not read {files.url}: {error}") from error
    return {Hint(*row) for row in rows}
