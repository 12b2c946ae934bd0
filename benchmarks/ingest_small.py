"""20,000 run files of about 5 KB: what each file costs."""

from __future__ import annotations

from benchmarks import generate
from benchmarks.contenders import race
from benchmarks.measure import Row, Setup, times_as_fast, times_the_time

TITLE = "Ingest: 20,000 files of about 5 KB"


def run(setup: Setup) -> list[Row]:
    inbox = generate.small_files(setup.scale(20_000, 1_000))
    result = race(inbox, ("issuelake", "duckdb_copy", "bare", "dlt_filesystem", "dlt_arrow"), setup.rounds)
    inside, whole = result.inside, result.whole
    ours = inside["issuelake"]
    rows = [
        times_as_fast("against DuckDB's COPY (issues alone)", ours, inside["duckdb_copy"], 4, 8),
        times_as_fast("the same, whole processes", result.command, whole["duckdb_copy"]),
        times_the_time("against reading, decoding and writing alone", ours, inside["bare"]),
        times_as_fast("against dlt → Parquet (issues alone)", ours, inside["dlt_filesystem"], 8, 20),
        times_as_fast("the same, whole processes", result.command, whole["dlt_filesystem"]),
        times_as_fast("against dlt, handed ready Arrow tables", ours, inside["dlt_arrow"]),
    ]
    rows[0].note = "inside a process, imports done; ours checks everything, writes both tables and syncs them"
    rows[2].note = "issues alone, on all cores: nothing checked but types, hashed, looked up or synced"
    rows[3].note = "dicts from a plain generator (msgspec), one worker a core, nothing nested unpacked"
    rows[5].note = "pyarrow tables made of the same dicts; dlt then looks at no row"
    return rows
