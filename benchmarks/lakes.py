"""Large lakes, quickly: 500,000 runs with 10 million issues, over one month or over five years.

The kernel reads one portion of generated run files; every further portion has the same issues
under new run ids at other moments. All of it goes into the lake through `Lake.append`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pyarrow as pa

from assets import kernel
from benchmarks import generate
from resources.config import open_storage
from resources.contract import Delivery

ISSUES_A_RUN = (14, 26)
PLUGINS = 200
PORTIONS = 30
"""As many as a month has days, so that every day is one file, as after compaction."""

END = generate.FIRST_DAY + generate.MONTH
MONTH = generate.MONTH
FIVE_YEARS = PORTIONS * timedelta(days=61)


def lake(runs: int, span: timedelta) -> Path:
    """A kept lake of `runs` runs with twenty issues each, spread over the `span` before `END`."""

    def make(folder: Path) -> None:
        rows = portion(runs // PORTIONS)
        opened = open_storage(str(folder)).backend
        rng = Random(2)
        for number in range(PORTIONS):
            start = END - span + number * span / PORTIONS
            opened.append(anew(rows.runs, start, span / PORTIONS, rng), rows.issues)

    return generate.kept(f"lake-{runs}-{span.days}d", make)


def portion(runs: int) -> kernel.Chunk:
    """The rows of `runs` runs."""
    return chunk(generate.runs(runs, PLUGINS, ISSUES_A_RUN, timedelta(days=1)))


def chunk(files: Iterable[tuple[datetime, bytes]]) -> kernel.Chunk:
    """Run files as rows."""
    return kernel.build([Delivery("generated", content) for _, content in files])


def anew(runs: pa.Table, start: datetime, span: timedelta, rng: Random) -> pa.Table:
    """`runs` under ids of their own, spread over `span`."""
    count = len(runs)
    columns = {
        "validation_run_id": pa.array([generate.identity(rng) for _ in range(count)]),
        "timestamp": pa.array(
            [start + span * row / count for row in range(count)], runs.schema.field("timestamp").type
        ),
    }
    for name, column in columns.items():
        runs = runs.set_column(runs.column_names.index(name), name, column)
    return runs
