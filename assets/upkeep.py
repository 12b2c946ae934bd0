"""Upkeep of a whole lake, its days compacted by an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from resources.backend import Backend
from resources.engines import Engine
from resources.lake import Lake

if TYPE_CHECKING:
    from resources.lake.compact import Compacted
    from resources.lake.maintain import Maintained

TASKS_EACH = 8
"""So many tasks for each worker, so that all end at about the same time: days differ in size."""


def maintain(
    engine: Engine,
    lake: Backend,
    grace: timedelta | None = None,
    on_day: Callable[[Compacted], None] | None = None,
) -> Maintained:
    """Compact every day of `lake` and mend what was left behind, as `Backend.maintain` does.

    The days of a lake are spread over `engine`. Raises `StorageError` and `EngineError`; whatever was
    done by then is harmless, and the next call goes on from there.
    """
    if not isinstance(lake, Lake):
        return lake.maintain(grace, on_day)

    def compacted(days: Sequence[date]) -> Iterator[Compacted]:
        size = 1 if engine.at_once == 1 else max(1, len(days) // (TASKS_EACH * engine.at_once))
        tasks = [(days[first : first + size], grace) for first in range(0, len(days), size)]
        for done in engine.map(compact_days, tasks):
            yield from done

    return lake.maintain(grace, on_day, compacted)


def compact_days(lake: Backend, what: tuple[Sequence[date], timedelta | None]) -> list[Compacted]:
    """Bring each of some days to one sorted file."""
    days, grace = what
    return [lake.compact_day(day, grace) for day in days]
