"""Bringing what is kept of the problems up to date: the days that changed, and those after them.

A day costs what that day has, and the lives that were open: what ended before is not looked at.
What is not kept yet is worked out some months at a time, the newest two days each by themselves, so
that one more day, or one more run on the newest, has little to do.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from assets.days import DayVersion, versions_of_all
from assets.problems import state
from assets.problems.columns import LIVES
from assets.problems.relation import Asked, Plugins, all_seen, define_lives
from assets.problems.state import Base, Closed, Kept, Keys
from assets.retention import outlines
from resources.backend import RUNS, Backend
from resources.engines import Engine, Local
from resources.errors import StorageError
from resources.files import Files
from resources.schema import arrow_schema
from resources.session import sql

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

GRACE = 3600.0
"""Seconds for which files that are not needed any more stay, for readers who have listed them."""

SPAN_ISSUES = 250_000
"""Up to so many issues for each worker, several months are worked out in one go."""

_ORDER = ("target_plugin", "file_path", "fingerprint", "opened_at", "opened_stored_at", "opened_run_id")
"""The order of lives in a file, as `sql/lives_kept.sql` has it."""

WEEK = 7

NEWEST_KEPT = WEEK + 1
"""So many of the newest days keep their open lives; of older ones the last day of each month. A weekly report
looks at the newest, and at the one a week before."""


@dataclass(frozen=True, slots=True)
class Updated:
    """What bringing up to date did. `base` is the state that is kept now."""

    base: Base
    days: tuple[date, ...]
    """Those that were worked out, oldest first."""
    lives_open: int
    lives_ended: int
    """In the days that were worked out."""


@dataclass(frozen=True, slots=True)
class Lives:
    """What became of some plugins' problems in the days `found`; in the order in which it is kept."""

    found: list[DayVersion]
    open_lives: pa.Table
    ended_lives: pa.Table


def bring_up_to_date(lake: Backend, grace: float = GRACE, engine: Engine | None = None) -> Updated:
    """Work out what is not kept yet and keep it; durable on return.

    An `engine`, which must be one whose workers have `lake`, works some plugins out on each. Doing it
    twice, or in two places at once, is doing it once. Raises `StorageError` and `EngineError`.
    """
    engine = engine or Local(lake)
    held = versions_of_all(lake, outlines.days(lake))
    keys = state.keys(held)
    base = Kept(lake.files).base(keys)
    pending = [version for version in held if base.day is None or version.day > base.day]
    known = {day: key for day, key in keys.items() if base.day is not None and day <= base.day}
    open_now = ended = 0
    for span in _spans(pending, SPAN_ISSUES * engine.at_once):
        base, fresh, open_now, closed = _work_out(lake, engine, base, span)
        known |= fresh
        ended += closed
    _tidy(lake.files, known, grace)
    return Updated(Kept(lake.files).base(known), tuple(v.day for v in pending), open_now, ended)


def try_to_keep(lake: Backend, engine: Engine | None = None) -> None:
    """Bring what is kept up to date where that is possible, for the question at hand and later ones.

    Who may only read gets the same answers, a little later. Raises `EngineError`.
    """
    with suppress(StorageError):
        bring_up_to_date(lake, engine=engine)


def _spans(pending: Sequence[DayVersion], most: int) -> Iterator[list[date]]:
    """The days of `pending`: whole months, several where these are small, the newest two days alone.

    One ends a week before the newest day, where a weekly report looks as well.
    """
    older, newest = pending[:-2], pending[-2:]
    week_before = pending[-1].day - timedelta(days=WEEK) if pending else None
    for _, part in groupby(older, lambda version: week_before is not None and version.day <= week_before):
        yield from _months(part, most)
    for version in newest:
        yield [version.day]


def _months(days: Iterable[DayVersion], most: int) -> Iterator[list[date]]:
    span: list[date] = []
    size = 0
    for _, group in groupby(days, lambda version: _month(version.day)):
        month = list(group)
        issues = sum(version.issues for version in month)
        if span and size + issues > most:
            yield span
            span, size = [], 0
        span += [version.day for version in month]
        size += issues
    if span:
        yield span


def _work_out(lake: Backend, engine: Engine, base: Base, span: Sequence[date]) -> tuple[Base, Keys, int, int]:
    """Keep the state as of the end of `span`: the state, its keys, how many lives go on and ended."""
    import pyarrow as pa

    from resources.lake.parquet import encode

    while True:
        tasks = [(base, span[0], span[-1], plugins) for plugins in _plugins(lake, span, engine.at_once)]
        parts = list(engine.map(work_out, tasks))
        # Rows may have come while one after the other was at it.
        if all(part.found == parts[0].found for part in parts):
            break
    open_lives = pa.concat_tables([part.open_lives for part in parts])
    ended_lives = pa.concat_tables([part.ended_lives for part in parts])
    keys = state.keys(parts[0].found, base.key)
    if not keys:  # all its runs have gone since the days were listed
        return base, keys, open_lives.num_rows, 0
    day, key = next(reversed(keys.items()))
    closed = state.closed_path(day, key, base.key)
    lake.files.publish(closed, encode(ended_lives, key=lake.files.key))
    lake.files.publish(state.open_path(day, key), encode(open_lives, key=lake.files.key))
    paths = (closed, *base.closed_paths)
    return (
        Base(day, key, state.open_path(day, key), paths),
        keys,
        open_lives.num_rows,
        ended_lives.num_rows,
    )


def work_out(lake: Backend, what: tuple[Base, date, date, Plugins]) -> Lives:
    """The lives of some plugins' problems as of the last of some days, given the state before them."""
    base, first, last, plugins = what

    def work(connection: duckdb.DuckDBPyConnection) -> Lives:
        found = all_seen(connection)  # days may have come since they were listed
        define_lives(connection, lake.files, base, Asked(), plugins)
        connection.execute("CREATE OR REPLACE TEMP TABLE lives_now AS FROM lives_since")
        try:
            return Lives(found, _lives(connection, ended=False), _lives(connection, ended=True))
        finally:
            connection.execute("DROP TABLE lives_now")

    return outlines.reading(lake, work, first, last)


def _lives(connection: duckdb.DuckDBPyConnection, ended: bool) -> pa.Table:
    rows = connection.sql(sql("assets.problems", "lives_kept").format(ended=ended))
    return rows.to_arrow_table().cast(arrow_schema(LIVES))


def _plugins(lake: Backend, span: Sequence[date], count: int) -> list[Plugins]:
    """All plugins, in up to `count` parts with about as many issues in `span` each, by name.

    What is kept is in the order of their names.
    """
    if count == 1:
        return [Plugins()]

    def work(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, int]]:
        return connection.execute(sql("assets.problems", "issues_by_plugin")).fetchall()

    bounds: list[str | None] = [None]
    found = outlines.reading(lake, work, span[0], span[-1], (RUNS,))
    share = sum(issues for _, issues in found) / count
    seen = 0
    for plugin, issues in found:
        if seen >= share * len(bounds):
            bounds.append(plugin)
        seen += issues
    return [Plugins(first, end) for first, end in pairwise([*bounds, None])]


def _tidy(files: Files, keys: Keys, grace: float) -> None:
    """Make one file of what ended in each month that is long over, and remove what nobody needs."""
    kept = Kept(files)
    base = kept.base(keys)
    if base.day is None:
        return
    days = list(keys)
    day_of = {key: day for day, key in keys.items()}
    chain = kept.chain(keys, base.key) or []
    for month, group in groupby(chain, lambda closed: _month(day_of[closed.key])):
        parts = list(group)
        if len(parts) > 1 and month < min(map(_month, days[-NEWEST_KEPT:])):
            _merge(files, parts, day_of[parts[0].key])
    kept = Kept(files)
    needed = {closed.entry.path for closed in kept.chain(keys, base.key) or []}
    for number, day in enumerate(days):
        last_of_month = number + 1 < len(days) and _month(days[number + 1]) != _month(day)
        if (last_of_month or number >= len(days) - NEWEST_KEPT) and keys[day] in kept.opens:
            needed.add(kept.opens[keys[day]].path)
    before = time.time() - grace
    for entry in kept.entries:
        if entry.path not in needed and entry.modified < before:
            files.remove(entry.path)


def _merge(files: Files, parts: Sequence[Closed], day: date) -> None:
    """Publish the lives of `parts` as one file; they follow each other, that of `day` comes first."""
    import pyarrow as pa

    from resources.lake.parquet import encode, read_table

    schema = arrow_schema(LIVES)

    def read() -> pa.Table:
        names = files.paths([part.entry.path for part in parts])
        return pa.concat_tables(read_table(name, key=files.key).cast(schema) for name in names)

    whole = files.using(read)
    order = [(name, "ascending") for name in _ORDER]
    first, last = parts[-1], parts[0]
    files.publish(state.closed_path(day, last.key, first.since), encode(whole.sort_by(order), key=files.key))


def _month(day: date) -> tuple[int, int]:
    return day.year, day.month
