"""What engines are tried on: run files with everything in them that may go wrong, and what comes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assets import sources
from assets.ingest import Ingested, ingest
from resources.backend import Backend
from resources.config import open_storage

FIRST = datetime(2025, 8, 1, 6, tzinfo=UTC)
NOT_COMPARED = {"runs": ("stored_at", "batch_id"), "issues": ("batch_id",)}
"""When a run was stored, and the batch it came in."""


def run(number: int, issues: int = 4, **more: Any) -> dict[str, Any]:
    """Run `number`, of one of three plugins."""
    listed = [
        {
            "severity": ("critical", "high", "medium", "low")[(number + place) % 4],
            "category": ("security", "style")[place % 2],
            "description": f"problem {place} of {(number + place) % 7}",
            "file_path": f"src/{place}.py" if place else None,
            "details": {"rule": f"R{place}"},
        }
        for place in range(issues)
    ]
    return {
        "validation_run_id": f"run-{number:03}",
        "timestamp": (FIRST + timedelta(hours=3 * number)).isoformat(),
        "target_plugin": ("billing", "search", "zebra")[number % 3],
        "pipeline_score": number % 101,
        "metadata": {"commit": f"{number:040x}"},
        "issues_list": [{k: v for k, v in issue.items() if v is not None} for issue in listed],
    } | more


RUNS = 60


def write(folder: Path) -> None:
    """`RUNS` runs on eight days, a file each; some come again, some changed, some are refused."""
    folder.mkdir(parents=True)

    def put(name: str, *runs: Any) -> None:
        (folder / name).write_text("\n".join(json.dumps(run) for run in runs), "utf-8")

    for number in range(RUNS):
        put(f"{number:03}.json", run(number))
    for number in (3, 17, 40):  # the same, far from the first
        put(f"x{number:03}.json", run(number))
    put("y1.json", run(5, pipeline_score=1))  # another one, and then the first again
    put("y2.json", run(5))
    put("y3.json", run(6, issues=2, timestamp="2025-09-01T00:00:00Z"))  # moves to another day
    put("y4.json", run(7, pipeline_score=2))
    put("000.ndjson", run(61), {"issues_list": 3}, run(62, issues=0))
    for number in range(6):
        put(f"r{number}.json", {"issues_list": [{"severity": "hgih", "description": "x"}]})
    (folder / "broken.json").write_bytes(b"\xff{")


RECEIVED = RUNS + 3 + 4 + 3 + 6 + 1
REJECTED = 8


def small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make shares of five files."""
    monkeypatch.setattr(sources, "CHUNK_FILES", 5)
    monkeypatch.setattr("assets.staging.STAGED_FILES", 5)


def locally(folder: Path, lake: Path) -> tuple[Backend, Ingested]:
    """The lake and the counts that one process makes of `folder`."""
    backend = open_storage(str(lake)).backend
    return backend, ingest(backend, sources.find([str(folder)]))


def assert_same_counts(done: Ingested, expected: Ingested) -> None:
    for name in (
        "files",
        "runs_stored",
        "runs_rejected",
        "duplicates",
        "issues_stored",
        "days",
        "rejections",
    ):
        assert getattr(done, name) == getattr(expected, name), name


def assert_same_rows(one: Backend, other: Backend) -> None:
    """Both have the same runs and issues, each as often."""
    import duckdb

    for table, left_out in NOT_COMPARED.items():
        query = f"SELECT * EXCLUDE ({', '.join(left_out)}) FROM {table}"

        def rows(connection: duckdb.DuckDBPyConnection, query: str = query) -> pa.Table:
            return connection.sql(query).to_arrow_table()

        with duckdb.connect() as connection:
            connection.register("one", one.reading(rows))
            connection.register("other", other.reading(rows))
            for here, there in (("one", "other"), ("other", "one")):
                missing = connection.sql(f"FROM {here} EXCEPT ALL FROM {there}").fetchall()
                assert missing == [], f"{table}: {len(missing)} rows of {here} are not in {there}"
