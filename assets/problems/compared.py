"""Which runs two words mean, and the issues of those runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from assets.problems.relation import moment_of, scopes
from resources.backend import BOTH, RUNS, Backend, Pushdown
from resources.errors import UsageError
from resources.session import literal, sql

if TYPE_CHECKING:
    import duckdb

LATEST, PREVIOUS = "latest", "previous"
_RANKS = {LATEST: 1, PREVIOUS: 2}
_FEW_RUNS = 16
"""So many runs are read each for itself; of more, all of the days from the first to the last."""

Issue = dict[str, Any]
"""A row of the view `issues`, and `looked_at`: whether the run it is compared with looked there, too."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is compared. Where it looked: None is everywhere; `paths` are regular expressions."""

    validation_run_id: str
    target_plugin: str
    timestamp: datetime
    run_date: date
    pipeline_score: int | None
    categories: list[str] | None
    paths: list[str] | None


Pair = tuple[Run | None, Run | None]
"""The runs of a plugin before and after; None where there is none."""


def pairs(lake: Backend, before: str, after: str, plugin: str | None = None) -> dict[str, Pair]:
    """What to compare, by plugin: a run id, a date or moment (the newest run up to it), `latest`, `previous`.

    A run id is about its own plugin alone. Raises `UsageError`, `StorageError`.
    """
    first, last = _meant(lake, before, plugin), _meant(lake, after, plugin)
    named = [set(runs) for runs, is_id in (first, last) if is_id]
    plugins = sorted(set.intersection(*named) if named else {*first[0], *last[0]})
    if not plugins and named:
        others = " and ".join(sorted(set.union(*named)))
        raise UsageError(f"{before} and {after} are not runs of one plugin ({others}): nothing compares.")
    return {name: (first[0].get(name), last[0].get(name)) for name in plugins}


def issues_of(lake: Backend, runs: Iterable[tuple[Run, Run | None]]) -> list[Issue]:
    """The issues of each first run where it looked, the worst first.

    The second run of each is the one that it is compared with.
    """
    compared = list(runs)
    groups = [[one] for one in compared] if len(compared) <= _FEW_RUNS else [compared]
    return [issue for group in groups for issue in _read(lake, group)]


def _read(lake: Backend, group: list[tuple[Run, Run | None]]) -> list[Issue]:
    import pyarrow as pa

    rows = [
        (
            run.validation_run_id,
            run.categories,
            run.paths,
            other and other.categories,
            other and other.paths,
        )
        for run, other in group
    ]
    texts = pa.list_(pa.string())
    names = ("validation_run_id", "categories", "paths", "other_categories", "other_paths")
    kinds = (pa.string(), texts, texts, texts, texts)
    table = pa.table(
        [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)], names
    )

    def work(connection: duckdb.DuckDBPyConnection) -> list[Issue]:
        connection.register("compared", table)
        try:
            found: list[Issue] = (
                connection.sql(sql("assets.problems", "issues_compared")).to_arrow_table().to_pylist()
            )
            return found
        finally:
            connection.unregister("compared")

    days = [run.run_date for run, _ in group]
    pushdown = Pushdown(run_id=group[0][0].validation_run_id) if len(group) == 1 else None
    return lake.reading(work, min(days), max(days), BOTH, pushdown)


def _meant(lake: Backend, word: str, plugin: str | None) -> tuple[dict[str, Run], bool]:
    """The runs that `word` means, by plugin, and whether it is the id of one."""
    of_plugin = "true" if plugin is None else f"target_plugin = {literal(plugin)}"
    pushdown = Pushdown(plugin=plugin)
    if word in _RANKS:
        return _runs(lake, of_plugin, _RANKS[word], None, pushdown), False
    by_id = f"validation_run_id = {literal(word)}"
    found = _runs(lake, by_id, 1, None, Pushdown(run_id=word))
    if found:
        if plugin is not None and plugin not in found:
            raise UsageError(f"{word} is a run of {next(iter(found))}, not of {plugin}.")
        return found, True
    try:
        until = moment_of(word)
    except UsageError:
        raise UsageError(
            f"{word!r} is no run that is stored, no date like 2025-08-29,"
            f" and neither {LATEST!r} nor {PREVIOUS!r}."
        ) from None
    up_to = f'{of_plugin} AND "timestamp" <= TIMESTAMPTZ {literal(until.isoformat())}'
    return _runs(lake, up_to, 1, until.date(), Pushdown(plugin=plugin, until=until)), False


def _runs(lake: Backend, condition: str, rank: int, last: date | None, pushdown: Pushdown) -> dict[str, Run]:
    statement = sql("assets.problems", "runs_compared").format(scopes=scopes(condition, RUNS), rank=rank)

    def work(connection: duckdb.DuckDBPyConnection) -> dict[str, Run]:
        rows = connection.sql(statement).to_arrow_table().to_pylist()
        return {row["target_plugin"]: Run(**row) for row in rows}

    return lake.reading(work, None, last, (RUNS,), pushdown)
