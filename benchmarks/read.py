"""10 million issues in 500,000 runs: what the reading rules cost, and what a pruned read takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from assets import answers
from assets.query import Query
from benchmarks import lakes
from benchmarks.measure import Row, Setup, at_most, interleaved, scratch, seconds, times_the_time
from resources.config import Storage, open_storage
from resources.lake.read import EACH_ONCE
from resources.session import connect

TITLE = "Reading: 10 million issues in 500,000 runs"

GROUP_BY = "SELECT category, severity, count(*) FROM {issues} GROUP BY ALL ORDER BY ALL"
PLAIN = "read_parquet('{folder}/issues/*/*.parquet', hive_partitioning = true)"

Question = Callable[[Storage], answers.Answer]

REPEATS = 5
"""A quick question is asked so often a round; its time is the mean.

That a set of files holds each run once is found out the first time and known the others.
"""

DELETED_RUNS = 50


def run(setup: Setup) -> list[Row]:
    count = setup.scale(500_000, 9_000)
    month, years = (lakes.lake(count, span) for span in (lakes.MONTH, lakes.FIVE_YEARS))
    rows = [
        _group_by("group-by over all issues, one month, against plain Parquet", month, month, setup.rounds),
        _group_by("the same, five years", years, years, setup.rounds),
    ]
    with scratch() as folder:
        with_losers = _with_deletions(month, folder / "lake")
        what = f"one month, {DELETED_RUNS} runs deleted and not yet compacted away"
        rows.append(_group_by(what, with_losers, month, setup.rounds))
    return rows + _pruned(open_storage(str(month)), open_storage(str(years)), setup.rounds)


def _group_by(what: str, ours: Path, peer: Path, rounds: int) -> Row:
    """Both sides open a connection of the same kind, and so both list the files.

    Ours chooses between copies as if this process had not read them before.
    """
    lake = open_storage(str(ours)).backend

    def with_rules() -> float:
        query = GROUP_BY.format(issues="issues")
        EACH_ONCE.clear()
        return seconds(lambda: lake.reading(lambda connection: connection.execute(query).fetchall()))

    def plain() -> float:
        query = GROUP_BY.format(issues=PLAIN.format(folder=peer))

        def ask() -> None:
            with connect() as connection:
                connection.execute(query).fetchall()

        return seconds(ask)

    samples = interleaved({"ours": with_rules, "peer": plain}, rounds)
    return times_the_time(what, samples["ours"], samples["peer"], 2.5)


def _with_deletions(lake: Path, copy: Path) -> Path:
    """A copy of `lake` (hard links) in which a few runs of all days are deleted."""
    for path in lake.rglob("*.parquet"):
        target = copy / path.relative_to(lake)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, target)
    opened = open_storage(str(copy)).backend
    every = f"SELECT validation_run_id FROM runs ORDER BY hash(validation_run_id) LIMIT {DELETED_RUNS}"
    chosen = opened.reading(lambda connection: connection.execute(every).fetchall())
    opened.delete(run_id for (run_id,) in chosen)
    return copy


def _pruned(month: Storage, years: Storage, rounds: int) -> list[Row]:
    newest = answers.latest(month)["issues_data"]
    week = Query(
        plugin_name=newest["target_plugin"],
        date_from=(lakes.END - timedelta(days=7)).date().isoformat(),
        date_to=lakes.END.date().isoformat(),
        text="password",
    )
    questions: dict[str, Question] = {
        "latest": answers.latest,
        "search, one plugin, one week": partial(answers.issues, query=week, operation="search_issues"),
    }
    rows = []
    for what, ask in questions.items():
        samples = interleaved(
            {"years": partial(_asked, ask, years), "month": partial(_asked, ask, month)}, rounds
        )
        first = interleaved({"month": partial(_first, ask, month)}, rounds)
        rows += [
            at_most(f"{what}, in a lake of one month, the first time in a process", first["month"]),
            at_most(f"{what}, in a lake of one month", samples["month"], 0.05),
            at_most(f"{what}, in a lake of five years", samples["years"], 0.05),
            times_the_time(f"{what}, five years against one month", samples["years"], samples["month"], 1.5),
        ]
    return rows


def _asked(question: Question, storage: Storage) -> float:
    return seconds(lambda: [question(storage) for _ in range(REPEATS)]) / REPEATS


def _first(question: Question, storage: Storage) -> float:
    EACH_ONCE.clear()
    return seconds(lambda: question(storage))
