"""40 run files of about 5 MB: what each issue costs."""

from __future__ import annotations

from benchmarks import generate
from benchmarks.contenders import race
from benchmarks.measure import Row, Setup, times_the_time

TITLE = "Ingest: 40 files of about 5 MB"


def run(setup: Setup) -> list[Row]:
    inbox = generate.big_files(setup.scale(40, 4))
    result = race(inbox, ("issuelake", "duckdb_copy", "bare"), setup.rounds)
    inside, whole = result.inside, result.whole
    return [
        times_the_time(
            "against DuckDB's COPY (issues alone)", inside["issuelake"], inside["duckdb_copy"], 1.5, 1
        ),
        times_the_time("the same, whole processes", result.command, whole["duckdb_copy"]),
        times_the_time("against reading, decoding and writing alone", inside["issuelake"], inside["bare"]),
    ]
