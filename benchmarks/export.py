"""100,000 issues exported, against DuckDB's own COPY of the same rows in the same order."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from assets.exports import export
from assets.query import NEWEST_FIRST, Query
from benchmarks import lakes
from benchmarks.measure import Row, Setup, at_most, interleaved, scratch, seconds, times_the_time
from resources.config import Storage, open_storage
from resources.session import connect

TITLE = "Exports: 100,000 issues"

COLUMNS = "* EXCLUDE (batch_id, run_date)"
PEER = """
COPY (
    SELECT {columns} FROM read_parquet('{lake}/issues/*/*.parquet', hive_partitioning = true) {order}
) TO '{path}' (FORMAT {format})
"""

PROMISED = {"csv": ("csv", 1.3), "parquet": ("parquet", 1.3), "ndjson": ("json", 1.5)}
"""What DuckDB calls each, and how many times its time we may take."""

OTHERS = ("json", "yaml", "html", "markdown", "sarif", "xlsx")

UNORDERED = "COPY that does not put the rows in order"


def run(setup: Setup) -> list[Row]:
    folder = lakes.lake(setup.scale(5_010, 300), lakes.MONTH)
    storage = open_storage(str(folder))
    with scratch() as out:
        rows = [
            _against_copy(storage, folder, name, theirs, limit, out, setup.rounds)
            for name, (theirs, limit) in PROMISED.items()
        ]
        rows += [
            at_most(name, interleaved({"ours": partial(_ours, storage, name, out)}, setup.rounds)["ours"])
            for name in OTHERS
        ]
    return rows


def _against_copy(
    storage: Storage, folder: Path, name: str, theirs: str, limit: float, out: Path, rounds: int
) -> Row:
    order = ", ".join(f'"{name}" {direction} NULLS LAST' for name, direction in NEWEST_FIRST)
    samples = interleaved(
        {
            "ours": partial(_ours, storage, name, out),
            "peer": partial(_peer, folder, theirs, out, f"ORDER BY {order}"),
            "unordered": partial(_peer, folder, theirs, out, ""),
        },
        rounds,
    )
    row = times_the_time(f"{name}, against COPY", samples["ours"], samples["peer"], limit)
    unordered = times_the_time(UNORDERED, samples["ours"], samples["unordered"])
    row.samples["unordered"] = samples["unordered"]
    row.note = f"ours is hashed, synced and renamed besides; against a {UNORDERED} {unordered.ratio}"
    return row


def _ours(storage: Storage, name: str, out: Path) -> float:
    return seconds(lambda: export(storage, Query(), name, str(out / f"ours.{name}")))


def _peer(folder: Path, theirs: str, out: Path, order: str) -> float:
    statement = PEER.format(
        columns=COLUMNS, lake=folder, order=order, path=out / f"peer.{theirs}", format=theirs
    )

    def copy() -> None:
        with connect() as connection:
            connection.execute(statement)

    return seconds(copy)
