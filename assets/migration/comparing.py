"""What two storages hold, compared run by run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.days import DayVersion
from resources.backend import RUNS, Backend
from resources.errors import IssuelakeError
from resources.lake.marks import read_deletions
from resources.session import sql

if TYPE_CHECKING:
    import duckdb

PORTION_ISSUES = 100_000
PORTION_RUNS = 10_000
"""What the days of a portion have together; a single day may have more."""

_NAMED = 5


class NotTheSame(IssuelakeError):
    """The target does not answer what it was given, or the source is at odds with itself."""


@dataclass(slots=True)
class Amount:
    """So many runs, with so many issues."""

    runs: int = 0
    issues: int = 0

    def add(self, runs: int, issues: int) -> None:
        self.runs += runs
        self.issues += issues


@dataclass(frozen=True, slots=True)
class Outcome:
    """Why the target lacks runs that the source has, and rightly so."""

    newer: frozenset[str]
    """It has something newer under the same id."""
    deleted: frozenset[str]
    """They were deleted there after the source had stored them."""


def portions(days: Sequence[DayVersion]) -> Iterator[list[DayVersion]]:
    """`days`, oldest first, in groups of about the same size."""
    portion: list[DayVersion] = []
    runs = issues = 0
    for day in days:
        if portion and (runs + day.runs > PORTION_RUNS or issues + day.issues > PORTION_ISSUES):
            yield portion
            portion, runs, issues = [], 0, 0
        portion.append(day)
        runs += day.runs
        issues += day.issues
    if portion:
        yield portion


def held(backend: Backend, first: date, last: date) -> pa.Table:
    """The runs of the days as `sql/held_runs.sql` has them. Raises `StorageError`."""
    return backend.reading(partial(held_seen, first=first, last=last), first, last)


def held_seen(connection: duckdb.DuckDBPyConnection, first: date, last: date) -> pa.Table:
    """The same, as the views of `connection` show it."""
    return connection.sql(sql("assets", "held_runs"), params=[first, last]).to_arrow_table()


def lacking(theirs: pa.Table, ours: pa.Table) -> pa.Table:
    """The rows of `theirs` (as `held` answers) whose content `ours` does not have."""
    keys = ["validation_run_id", "digest"]
    known = pa.table({"key": _joined(ours, keys)})
    return theirs.filter(pc.invert(pc.is_in(_joined(theirs, keys), known["key"])))


def check_counts(rows: pa.Table, source: Backend) -> None:
    """Raises `NotTheSame` where a run has other issues than it counts."""
    torn = rows.filter(pc.not_equal(rows["issues"], rows["counted"]))
    if torn.num_rows:
        raise NotTheSame(
            f"In {source.url} {torn.num_rows} runs count other issues than are stored"
            f" ({named(torn['validation_run_id'].to_pylist())}): delete them there and ingest their files"
            " again, then go on."
        )


def explain(rows: pa.Table, source: Backend, target: Backend) -> Outcome:
    """Why the target, read as a whole, lacks `rows` of the source.

    Raises `NotTheSame` where there is no good reason.
    """
    ids = rows["validation_run_id"].to_pylist()
    deletions = read_deletions(target.files, ids)
    there = _whereabouts(target, ids)
    newer, deleted = set(), set()
    moved: dict[date, dict[str, str]] = {}
    lost = []
    for run_id, stored_at, digest in _tuples(rows, ("validation_run_id", "stored_at", "digest")):
        if run_id in there:
            day, at = there[run_id]
            if at > stored_at:
                newer.add(run_id)
            else:  # the same on another day, perhaps: runs need not have a timestamp
                moved.setdefault(day, {})[run_id] = digest
        elif run_id in deletions and deletions[run_id] > stored_at:
            deleted.add(run_id)
        else:
            lost.append(run_id)
    for day, wanted in moved.items():
        found = dict(_tuples(held(target, day, day), ("validation_run_id", "digest")))
        lost += [run_id for run_id, digest in wanted.items() if found.get(run_id) != digest]
    if lost:
        raise NotTheSame(
            f"{target.url} does not answer {len(lost)} runs as {source.url} does ({named(lost)}); nothing"
            " was removed. Look whether the target is being changed, and begin again."
        )
    return Outcome(frozenset(newer), frozenset(deleted))


def _whereabouts(backend: Backend, run_ids: list[str]) -> dict[str, tuple[date, datetime]]:
    """The day of each of `run_ids` that `backend` has, and since when it has it."""
    query = (
        "SELECT validation_run_id, run_date, stored_at FROM runs"
        " WHERE validation_run_id IN (SELECT unnest($1))"
    )
    found = backend.reading(lambda c: c.execute(query, [run_ids]).fetchall(), tables=(RUNS,))
    return {run_id: (day, at) for run_id, day, at in found}


def named(run_ids: Iterable[str]) -> str:
    """The first of `run_ids`, for an error."""
    ids = list(run_ids)
    return ", ".join(repr(i[:80]) for i in ids[:_NAMED]) + (", …" if len(ids) > _NAMED else "")


def _joined(rows: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(*(rows[name] for name in reversed(names)), "\x1f")


def _tuples(rows: pa.Table, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(rows[name].to_pylist() for name in names), strict=True)
