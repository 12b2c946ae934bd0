"""Spark, of whose executors one is killed, and Sail; and everyone reads what everyone has written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from assets import sources
from assets.ingest import Ingested, ingest
from resources.backend import Backend
from resources.config import configuration, open_storage
from resources.engines import open_engine
from resources.errors import EngineError
from tests import servers
from tests.engines import clusters, world
from tests.engines.clusters import PROGRAMS, Dask
from tests.engines.figures import figures

pytestmark = pytest.mark.timeout(900)  # three Java machines start, and Python in two of them

SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""For Java that runs too short a time to get anything from compiling well."""


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    """Spark with two executors, each a process with a core."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYSPARK_SUBMIT_ARGS", f"--driver-java-options '{SHORT_LIVED}' pyspark-shell")
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local-cluster[2,1,1024]").config("spark.ui.enabled", "false")
        builder = builder.config("spark.ui.showConsoleProgress", "false")
        builder = builder.config("spark.executor.extraJavaOptions", SHORT_LIVED)
        found = builder.config("spark.driver.host", "127.0.0.1").getOrCreate()
        try:
            yield found
        finally:
            found.stop()


def _executes(process: psutil.Process) -> bool:
    """Whether it is an executor of Spark."""
    try:
        return "org.apache.spark.executor.CoarseGrainedExecutorBackend" in process.cmdline()
    except psutil.NoSuchProcess:  # it has ended, perhaps just now
        return False


def spread(address: str, lake: Path, files: list[sources.RunFile]) -> tuple[Backend, Ingested]:
    opened = open_storage(str(lake)).backend
    with open_engine(address, configuration(str(lake)), opened) as engine:
        return opened, ingest(opened, files, engine=engine)


@pytest.mark.usefixtures("session", "small")
def test_an_executor_is_killed(folder: Path, local: tuple[Backend, Ingested], tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    killed = []

    def kill() -> None:
        clusters.wait_until(lambda: any(lake.glob("issues/*/*.parquet")), "the first issues")
        executors = [process for process in psutil.Process().children(recursive=True) if _executes(process)]
        assert len(executors) == 2
        executors[0].kill()
        killed.append(executors[0].pid)

    killing = threading.Thread(target=kill)
    killing.start()
    backend, done = spread("spark", lake, sources.find([str(folder)]))
    killing.join()
    assert killed
    world.assert_same_counts(done, local[1])
    world.assert_same_rows(backend, local[0])


@pytest.mark.usefixtures("small")
def test_everyone_reads_what_everyone_has_written(
    session: Any,
    sail: str,
    cluster: Dask,
    folder: Path,
    local: tuple[Backend, Ingested],
    tmp_path: Path,
) -> None:
    """One lake, written by this process, Dask, Spark and Sail, read by six engines."""
    lake = tmp_path / "lake"
    files = sources.find([str(folder)])
    parts = [files[:20], files[20:40], files[40:60], files[60:]]
    counted = Ingested()
    for part, address in zip(parts[:3], ("local", cluster.address, "spark"), strict=True):
        done = spread(address, lake, part)[1]
        for name in ("runs_stored", "runs_rejected", "duplicates"):
            setattr(counted, name, getattr(counted, name) + getattr(done, name))
    command = [PROGRAMS / "issuelake", "ingest", *(file.path for file in parts[3]), "--storage", lake]
    # A process of its own: Spark Connect and a Spark context do not go together in one.
    by_sail = subprocess.run(
        [*command, "--engine", sail, "--json", "--allow-rejects"], capture_output=True, text=True
    )
    assert by_sail.returncode == 0, by_sail.stderr
    told = json.loads(by_sail.stdout)
    for name in ("runs_stored", "runs_rejected", "duplicates"):
        assert getattr(counted, name) + told[name] == getattr(local[1], name), name
    backend = open_storage(str(lake)).backend
    world.assert_same_rows(backend, local[0])

    backend.maintain(timedelta(0))
    world.assert_same_rows(backend, local[0])
    connect = subprocess.run(
        [sys.executable, "-m", "tests.engines.figures", sail, str(lake)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    assert connect.returncode == 0, connect.stderr
    found = {
        "duckdb": _duckdb(str(lake)),
        "pyarrow": _pyarrow(str(lake)),
        "polars": _polars(str(lake)),
        "spark": figures(session, str(lake)),
        "sail": json.loads(connect.stdout),
    }
    issues = sum(found["duckdb"]["issues"].values())
    assert found["duckdb"]["runs"][:2] == [62, 62]
    assert issues > 200
    for name, answer in found.items():
        assert answer == found["duckdb"], name


def test_nobody_answers(tmp_path: Path) -> None:
    lake = open_storage(str(tmp_path)).backend
    for scheme, what in (("spark", "Spark master"), ("sc", "Spark Connect server")):
        address = f"{scheme}://127.0.0.1:{servers.free_port()}"
        with (
            pytest.raises(EngineError, match=rf"No {what} answers at {address} \(.*refused"),
            open_engine(address, configuration(str(tmp_path)), lake),
        ):
            pass


def _duckdb(lake: str) -> dict[str, Any]:
    import duckdb

    with duckdb.connect() as connection:
        runs, issues = (
            f"read_parquet('{lake}/{t}/**/*.parquet', hive_partitioning=true)" for t in ("runs", "issues")
        )
        [counts] = connection.sql(
            "SELECT count(*), count(DISTINCT validation_run_id), sum(pipeline_score)::BIGINT,"
            f" count(DISTINCT run_date) FROM {runs}"
        ).fetchall()
        by_severity = connection.sql(f"SELECT severity, count(*) FROM {issues} GROUP BY ALL").fetchall()
    return {"runs": list(counts), "issues": dict(by_severity)}


def _pyarrow(lake: str) -> dict[str, Any]:
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    runs, issues = (ds.dataset(f"{lake}/{t}", partitioning="hive").to_table() for t in ("runs", "issues"))
    severities = issues["severity"].value_counts().to_pylist()
    counts = [
        runs.num_rows,
        len(runs["validation_run_id"].unique()),
        pc.sum(runs["pipeline_score"]).as_py(),
        len(runs["run_date"].unique()),
    ]
    return {"runs": counts, "issues": {item["values"]: item["counts"] for item in severities}}


def _polars(lake: str) -> dict[str, Any]:
    import polars as pl

    runs, issues = (
        pl.scan_parquet(f"{lake}/{t}/**/*.parquet", hive_partitioning=True).collect()
        for t in ("runs", "issues")
    )
    counts = [
        runs.height,
        runs["validation_run_id"].n_unique(),
        int(runs["pipeline_score"].cast(pl.Int64).sum()),
        runs["run_date"].n_unique(),
    ]
    return {"runs": counts, "issues": dict(issues["severity"].value_counts().iter_rows())}
