"""The ways to bring run files into Parquet, raced against each other, each in a process of its own.

`python -m benchmarks.contenders WAY INBOX OUT` answers `{"seconds": …, "issues": …}`: the time
inside the process, everything imported before the clock starts.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.measure import COMMAND, interleaved, module, process, scratch

Contender = Callable[[str, str], tuple[float, int]]
Pages = Iterator[list[dict[str, Any]]]

COLUMNS = """{
    validation_run_id: 'VARCHAR', "timestamp": 'TIMESTAMPTZ', target_plugin: 'VARCHAR',
    change_type: 'VARCHAR', pipeline_score: 'SMALLINT', metadata: 'JSON',
    issues_list: 'STRUCT(category VARCHAR, severity VARCHAR, description VARCHAR, file_path VARCHAR,
        recommendation VARCHAR, details JSON)[]'
}"""


def issuelake(inbox: str, out: str) -> tuple[float, int]:
    """Both tables, everything checked, durable."""
    import pyarrow.parquet  # noqa: F401  # imported before the clock starts, as for the peers

    from assets import ingest, sources
    from resources.config import open_storage

    started = perf_counter()
    done = ingest.ingest(open_storage(out).backend, sources.find([inbox]))
    elapsed = perf_counter() - started
    if done.runs_rejected or done.duplicates:
        raise ValueError(f"not a fresh ingest: {done}")
    return elapsed, done.issues_stored


def duckdb_copy(inbox: str, out: str) -> tuple[float, int]:
    """DuckDB's own COPY of issues alone; the columns are named, so nothing is sniffed."""
    import duckdb

    with duckdb.connect() as connection:
        started = perf_counter()
        rows = connection.execute(
            f"""
            COPY (
                SELECT validation_run_id, "timestamp", target_plugin, unnest(issues_list, recursive := true),
                    "timestamp"::DATE AS run_date
                FROM read_json('{inbox}/*/*.json', columns = {COLUMNS}, format = 'unstructured')
            ) TO '{out}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY run_date)
            """
        ).fetchall()
        return perf_counter() - started, rows[0][0]


def bare(inbox: str, out: str) -> tuple[float, int]:
    """What no ingest in Python can be without: read, decode into objects, lay them out as columns, write.

    The issues alone, a file a day, on all cores; nothing is checked but types, nothing hashed,
    looked up or synced, and what belongs to the run is not written.
    """
    days = [str(day) for day in sorted(Path(inbox).iterdir())]
    with ProcessPoolExecutor() as pool:
        list(pool.map(_warm, days))
        started = perf_counter()
        counts = list(pool.map(partial(_bare_day, out), days))
        return perf_counter() - started, sum(counts)


def _warm(_: str) -> None:
    """Import what a worker process needs."""
    from benchmarks import steps  # noqa: F401  (imported before the clock starts)


def _bare_day(out: str, day: str) -> int:
    import pyarrow.parquet as pq

    from benchmarks.steps import parse_msgspec

    issues = parse_msgspec([path.read_bytes() for path in sorted(Path(day).iterdir())])
    folder = Path(out) / f"run_date={Path(day).name}"
    folder.mkdir(parents=True)
    pq.write_table(issues, folder / "issues.parquet", compression="zstd", compression_level=1)
    return issues.num_rows


def dlt_filesystem(inbox: str, out: str) -> tuple[float, int]:
    """dlt's filesystem destination writing Parquet, issues alone, not partitioned, given dicts.

    A plain generator yields the issues of 500 files at a time, read with msgspec; one worker a
    core, `details` as JSON, nothing unpacked into child tables. dlt's own filesystem source in
    front of the same reader made no difference.
    """
    return _dlt(inbox, out, lambda pages: pages)


def dlt_arrow(inbox: str, out: str) -> tuple[float, int]:
    """The same, given Arrow tables, which dlt passes on without looking at a row."""
    import msgspec
    import pyarrow as pa

    def tables(pages: Pages) -> Iterator[pa.Table]:
        for page in pages:
            for issue in page:
                issue["details"] = msgspec.json.encode(issue["details"]).decode()
            yield pa.Table.from_pylist(page)

    return _dlt(inbox, out, tables)


def _dlt(inbox: str, out: str, given: Callable[[Pages], Iterator[Any]]) -> tuple[float, int]:
    # Before dlt is imported, which reads its configuration then.
    os.environ.update(
        RUNTIME__DLTHUB_TELEMETRY="false",
        NORMALIZE__WORKERS=str(os.cpu_count()),
        DATA_WRITER__FILE_MAX_ITEMS="50000",
        DATA_WRITER__BUFFER_MAX_ITEMS="20000",
    )
    import dlt
    from dlt.destinations import filesystem

    pipeline = dlt.pipeline(
        "benchmark",
        destination=filesystem(bucket_url=out),
        dataset_name="lake",
        pipelines_dir=f"{out}-pipelines",
    )
    started = perf_counter()
    issues = dlt.resource(
        given(_pages(inbox)),
        name="issues",
        columns={"details": {"data_type": "json"}, "timestamp": {"data_type": "timestamp"}},
        max_table_nesting=0,
    )
    pipeline.run(issues, loader_file_format="parquet")
    elapsed = perf_counter() - started
    trace = pipeline.last_trace
    assert trace is not None  # it has just run
    assert trace.last_normalize_info is not None
    return elapsed, trace.last_normalize_info.row_counts["issues"]


def _pages(inbox: str) -> Pages:
    """The issues of 500 files at a time."""
    import msgspec

    decode = msgspec.json.Decoder().decode
    page = []
    for number, path in enumerate(sorted(Path(inbox).rglob("*.json")), 1):
        run = decode(path.read_bytes())
        same = {name: run[name] for name in ("validation_run_id", "timestamp", "target_plugin")}
        page += [same | issue for issue in run["issues_list"]]
        if number % 500 == 0:
            yield page
            page = []
    if page:
        yield page


CONTENDERS: dict[str, Contender] = {
    way.__name__: way for way in (issuelake, duckdb_copy, bare, dlt_filesystem, dlt_arrow)
}


@dataclass
class Race:
    """Seconds of every round, by contender."""

    inside: dict[str, list[float]] = field(default_factory=dict)
    whole: dict[str, list[float]] = field(default_factory=dict)
    command: list[float] = field(default_factory=list)
    """`issuelake ingest`, from start to exit."""


def race(inbox: Path, ways: Sequence[str], rounds: int) -> Race:
    """Race `ways` over `inbox`, and the public command with them.

    Raises `ValueError` where they do not agree on how many issues there are.
    """
    result = Race({way: [] for way in ways}, {way: [] for way in ways})
    issues = set()

    def contend(way: str) -> float:
        with scratch() as folder:
            started = perf_counter()
            answer = module("contenders", way, str(inbox), str(folder / way))
            whole = perf_counter() - started
        result.inside[way].append(answer["seconds"])
        issues.add(answer["issues"])
        return whole

    def command() -> float:
        with scratch() as folder:
            return process(COMMAND, "ingest", str(inbox), "--storage", str(folder / "lake"), "--json")

    contenders = {way: partial(contend, way) for way in ways}
    whole = interleaved({**contenders, "command": command}, rounds)
    result.command = whole.pop("command")
    result.whole = whole
    if len(issues) != 1:
        raise ValueError(f"the contenders stored different numbers of issues: {sorted(issues)}")
    return result


if __name__ == "__main__":
    way, inbox, out = sys.argv[1:]
    elapsed, stored = CONTENDERS[way](inbox, out)
    print(json.dumps({"seconds": elapsed, "issues": stored}))
