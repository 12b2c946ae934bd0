"""100 million issues in 5 million runs over five years: does the first day cost what the last one does?

The runs come month by month, as NDJSON, a file a day; each month is ingested by a process of its own and
its files are removed, so that the disk holds one month of input and the lake.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import median

from assets import answers
from assets.trends import figures
from assets.trends.model import Asked
from benchmarks import generate
from benchmarks.lakes import ISSUES_A_RUN, PLUGINS
from benchmarks.measure import (
    COMMAND,
    Row,
    Setup,
    at_most,
    interleaved,
    scratch,
    seconds,
    times_the_time,
)
from benchmarks.memory import peak_of_tree
from benchmarks.read import GROUP_BY, PLAIN
from resources.backend import Backend
from resources.config import Storage, open_storage
from resources.lake.read import EACH_ONCE
from resources.session import connect

TITLE = "Scale: 100 million issues in 5 million runs over five years"

START = datetime(2021, 1, 1, tzinfo=UTC)
MONTHS = 60
MONTH = timedelta(days=30)
ENDS = 5
"""So many months at the beginning and at the end are compared; one alone would be chance."""
MEMORY = 3 * 2**29
"""Bytes: 1.5 GiB."""


@dataclass
class Grown:
    """What was seen while the lake grew."""

    runs_a_second: list[float] = field(default_factory=list)
    """Month by month."""
    peaks: list[int] = field(default_factory=list)
    """Bytes: of the first month and the last."""
    compactions: dict[str, list[float]] = field(default_factory=lambda: {"early": [], "late": []})


def run(setup: Setup) -> list[Row]:
    with scratch() as folder:
        place = folder / "lake"
        runs = setup.scale(5_000_000, 12_000)
        grown = _grow(place, folder / "inbox", runs)
        storage = open_storage(str(place))
        before = _size(place)
        maintained = seconds(lambda: storage.backend.maintain(timedelta(0)))
        rows = [*_growing(grown), *_asking(storage, place, setup.rounds)]
        held = storage.backend.reading(lambda c: c.execute("SELECT count(*) FROM issues").fetchall())
        rows[0].note = (
            f"{runs:,} runs with {held[0][0]:,} issues; the lake takes {before / 1e9:.2f} GB as it was"
            f" ingested, {_size(place) / 1e9:.2f} GB after every day was compacted,"
            f" which took {maintained:.0f} s"
        )
        return rows


def _grow(place: Path, inbox: Path, runs: int) -> Grown:
    grown = Grown()
    every = generate.runs(runs, PLUGINS, ISSUES_A_RUN, MONTHS * MONTH, start=START)
    for number, (_, month) in enumerate(groupby(every, lambda made: (made[0] - START) // MONTH)):
        count, days = _write(month, inbox)
        command = [COMMAND, "ingest", str(inbox), "--storage", str(place), "--json"]
        if number in (0, MONTHS - 1):  # watching costs time
            grown.peaks.append(peak_of_tree(command))
            grown.runs_a_second.append(float("nan"))
        else:
            started = time.perf_counter()
            done = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
            grown.runs_a_second.append(count / (time.perf_counter() - started))
            if done["runs_stored"] != count:
                raise AssertionError(f"{done['runs_stored']} of {count} runs were stored")
        shutil.rmtree(inbox)
        if number in (1, MONTHS - 2):
            lake = open_storage(str(place)).backend
            compactions = [seconds(partial(_compact, lake, day)) for day in days[:ENDS]]
            grown.compactions["early" if number == 1 else "late"] = compactions
        if sys.stderr.isatty():
            print(f"\rmonth {number + 1} of {MONTHS}", end="", file=sys.stderr)
    return grown


def _write(month: Iterator[tuple[datetime, bytes]], inbox: Path) -> tuple[int, list[date]]:
    """Write a file a day; how many runs there are, and their days."""
    inbox.mkdir()
    count, days = 0, []
    for day, made in groupby(month, lambda run: run[0].date()):
        days.append(day)
        with open(inbox / f"{day}.ndjson", "wb") as file:
            for _, content in made:
                file.write(content + b"\n")
                count += 1
    return count, days


def _compact(lake: Backend, day: date) -> None:
    lake.compact_day(day, timedelta(0))


def _growing(grown: Grown) -> list[Row]:
    paces = grown.runs_a_second[1:-1]
    early, late = median(paces[:ENDS]), median(paces[-ENDS:])
    pace = Row(
        "ingest, the first months against the last",
        f"{late:,.0f} runs/s",
        f"{early:,.0f} runs/s",
        f"{early / late:.2f}× the time",
        "≤ 1.2×",
        early / late <= 1.2,
        {"ours": paces},
    )
    peak = max(grown.peaks)
    memory = Row(
        "peak memory of an ingest, the first month and the last",
        f"{peak / 2**20:.0f} MiB",
        target="≤ 1.5 GiB",
        met=peak <= MEMORY,
        samples={"ours": [float(p) for p in grown.peaks]},
    )
    early_days, late_days = grown.compactions["early"], grown.compactions["late"]
    compaction = times_the_time(
        "compaction of a day, the last months against the first", late_days, early_days, 1.2
    )
    return [pace, memory, compaction]


def _asking(storage: Storage, place: Path, rounds: int) -> list[Row]:
    last = storage.backend.days()[-1]
    month = Asked(last - MONTH, last)

    def with_rules() -> float:
        EACH_ONCE.clear()
        query = GROUP_BY.format(issues="issues")
        return seconds(lambda: storage.backend.reading(lambda c: c.execute(query).fetchall()))

    def plain() -> float:
        query = GROUP_BY.format(issues=PLAIN.format(folder=place))
        with connect() as connection:
            return seconds(lambda: connection.execute(query).fetchall())

    contenders = {
        "rules": with_rules,
        "plain": plain,
        "trend": lambda: seconds(lambda: figures.daily_summary(storage.backend, month)),
        "latest": lambda: seconds(lambda: answers.latest(storage)),
    }
    samples = interleaved(contenders, rounds)
    return [
        times_the_time(
            "group-by over all issues, against plain Parquet", samples["rules"], samples["plain"], 2
        ),
        at_most("the trend of one month, from its daily summary", samples["trend"], 0.1),
        at_most("latest", samples["latest"], 0.05),
    ]


def _size(place: Path) -> int:
    return sum(os.path.getsize(path) for path in place.rglob("*.parquet"))
