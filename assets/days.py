"""What the days of a lake hold: which rows, and whether the two tables agree about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from assets.retention import outlines
from resources.backend import Backend, Pushdown
from resources.lake import layout
from resources.schema import SEVERITY_COUNTS
from resources.session import sql

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

_ONE_BY_ONE = 16
"""So many days are read each for itself; more in one go, from the first to the last."""


@dataclass(frozen=True, slots=True)
class DayVersion:
    """The rows of one day. `issues` is what the runs count, not what the other table holds."""

    day: date
    version: str
    """32 hex digits (or `empty`); the same for the same rows, however many files they lie in."""
    runs: int
    issues: int

    @classmethod
    def empty(cls, day: date) -> DayVersion:
        """A day without runs."""
        return cls(day, "empty", 0, 0)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A run whose four counts (critical, high, medium, low) are not those of its issues."""

    day: date
    run_id: str
    counted: list[int] | None
    """None where there are issues and no run."""
    found: list[int]

    def __str__(self) -> str:
        counted = "there is no run" if self.counted is None else f"the run counts {_numbers(self.counted)}"
        return f"{self.day} {self.run_id}: {counted}, its issues are {_numbers(self.found)}"


@dataclass(frozen=True, slots=True)
class CountedTwice:
    """A day that has more runs when it is read alone than in a read of the whole lake."""

    day: date
    alone: int
    in_whole: int

    def __str__(self) -> str:
        return f"{self.day}: {self.alone} runs when read alone, {self.in_whole} in the whole lake"


LOOKED_AT = Pushdown(
    columns=frozenset(
        {"run_date", "validation_run_id", "timestamp", "target_plugin", "pipeline_score", "stored_at"}
        | {"batch_id", "severity", *SEVERITY_COUNTS}
    )
)
"""The columns that the questions about days and their summary name."""


def versions(lake: Backend, days: Collection[date]) -> list[DayVersion]:
    """What `days` hold, oldest first; empty days are left out. Raises `StorageError`."""
    return _of_days(lake.reading, versions_seen, days, (layout.RUNS,))


def versions_of_all(lake: Backend, days: Collection[date]) -> list[DayVersion]:
    """As `versions`, retired runs among them: the same before and after they are retired."""

    def seen(connection: duckdb.DuckDBPyConnection, days: Collection[date]) -> list[DayVersion]:
        return versions_seen(connection, days, outlines.ALL_RUNS)

    return _of_days(partial(outlines.reading, lake), seen, days, (layout.RUNS,))


def versions_seen(
    connection: duckdb.DuckDBPyConnection, days: Collection[date], runs: str = layout.RUNS
) -> list[DayVersion]:
    """What `days` hold, as the relation `runs` of `connection` shows them."""
    return [DayVersion(*row) for row in _rows(connection, "day_versions", days, runs=runs)]


def disagreements(lake: Backend, days: Collection[date]) -> list[Disagreement]:
    """The runs of `days` whose counts are not those of their issues. Raises `StorageError`."""
    return _of_days(lake.reading, disagreements_seen, days, (layout.RUNS, layout.ISSUES))


def disagreements_seen(connection: duckdb.DuckDBPyConnection, days: Collection[date]) -> list[Disagreement]:
    """The runs of `days` that disagree, as the two views of `connection` show them."""
    return [Disagreement(*row) for row in _rows(connection, "counts_disagree", days)]


def counted_twice(lake: Backend, days: Collection[date]) -> list[CountedTwice]:
    """Those of `days` on which a run counts that also counts on another day.

    One read never counts a run twice. Two reads of two days do when the newer copy lies on the
    other day and nothing on this one says so. Raises `StorageError`.
    """

    def count(connection: duckdb.DuckDBPyConnection) -> dict[date, int]:
        return dict(_rows(connection, "runs_by_day", days))

    whole = lake.reading(count, tables=(layout.RUNS,), pushdown=LOOKED_AT) if days else {}
    found = []
    for day in sorted(days):
        alone = lake.reading(count, day, day, (layout.RUNS,), LOOKED_AT).get(day, 0)
        if alone > whole.get(day, 0):
            found.append(CountedTwice(day, alone, whole.get(day, 0)))
    return found


def _of_days(
    reading: Callable[..., list[T]],
    seen: Callable[[duckdb.DuckDBPyConnection, Collection[date]], list[T]],
    days: Collection[date],
    tables: Sequence[str],
) -> list[T]:
    """What `seen` answers about `days`, few read each for itself, many in one go."""
    ordered = sorted(days)
    if len(ordered) > _ONE_BY_ONE:
        return reading(_on(seen, ordered), ordered[0], ordered[-1], tables, LOOKED_AT)
    return [a for day in ordered for a in reading(_on(seen, [day]), day, day, tables, LOOKED_AT)]


def _on(
    seen: Callable[[duckdb.DuckDBPyConnection, Collection[date]], list[T]], days: Collection[date]
) -> Callable[[duckdb.DuckDBPyConnection], list[T]]:
    return lambda connection: seen(connection, days)


def _rows(
    connection: duckdb.DuckDBPyConnection, query: str, days: Collection[date], **names: str
) -> list[tuple[Any, ...]]:
    """The rows of `sql/<query>.sql` over `days`."""
    return connection.execute(sql("assets", query).format(**names), [sorted(days)]).fetchall()


def _numbers(counts: list[int]) -> str:
    return "/".join(map(str, counts))
