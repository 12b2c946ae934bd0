"""Problems over time: 10 million issues of history, and one more day."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from assets.problems import state
from assets.problems.listing import Filters, problems
from assets.problems.update import bring_up_to_date
from benchmarks import lakes
from benchmarks.measure import Row, Setup, at_most, interleaved, seconds
from resources.backend import Backend
from resources.config import open_storage

TITLE = "Problems: 500,000 runs with 10 million issues, and one more day"


def run(setup: Setup) -> list[Row]:
    folder = lakes.lake(setup.scale(500_010, 300), lakes.MONTH)
    lake = open_storage(str(folder)).backend
    kept = Path(folder, "problems")
    shutil.rmtree(kept, ignore_errors=True)
    try:
        from_nothing = [seconds(partial(bring_up_to_date, lake))]
        samples = interleaved(
            {
                "one day": partial(_one_more_day, lake),
                "nothing": partial(seconds, partial(bring_up_to_date, lake)),
                "listed": partial(seconds, partial(problems, lake, Filters())),
            },
            setup.rounds,
        )
    finally:
        shutil.rmtree(kept, ignore_errors=True)
    rows = [
        at_most("one more day, brought up to date", samples["one day"], 2.0),
        at_most("nothing new, which is found out", samples["nothing"]),
        at_most("the worst hundred, listed", samples["listed"]),
        at_most("everything, from nothing", from_nothing),
    ]
    rows[0].note = "a day of 330,000 issues; half of it is reading from all runs which days have changed"
    rows[3].note = "measured once"
    return rows


def _one_more_day(lake: Backend) -> float:
    """How long the last day takes, when the state as of the day before is there."""
    last = lake.days()[-1].isoformat()
    for entry in lake.files.find(state.FOLDER):
        if last in entry.path:
            lake.files.remove(entry.path)
    return seconds(partial(bring_up_to_date, lake))
