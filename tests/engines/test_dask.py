"""Dask: a real scheduler and real workers, some of whom are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from assets import exports, sources
from assets.ingest import Ingested, Progress, ingest
from assets.problems.update import bring_up_to_date
from assets.query import Query
from assets.trends.kept import keep, keep_all
from assets.upkeep import maintain
from resources.backend import Backend
from resources.config import Storage, configuration, open_storage
from resources.engines import open_engine
from resources.errors import ConfigError, EngineError, StorageError
from tests import servers
from tests.engines import clusters, world
from tests.engines.clusters import Dask
from tests.engines.conftest import SECRET

pytestmark = pytest.mark.usefixtures("small")


def spread(
    cluster: Dask, lake: Path, folder: Path, progress: Progress | None = None
) -> tuple[Backend, Ingested]:
    """The lake and the counts that `cluster` makes of `folder`."""
    opened = open_storage(str(lake)).backend
    with open_engine(cluster.address, configuration(str(lake)), opened) as engine:
        return opened, ingest(opened, sources.find([str(folder)]), progress=progress, engine=engine)


def test_as_from_one_process(
    cluster: Dask, folder: Path, local: tuple[Backend, Ingested], tmp_path: Path
) -> None:
    expected, counts = local
    seen = []
    lake, done = spread(cluster, tmp_path / "lake", folder, lambda *read: seen.append(read))
    world.assert_same_counts(done, counts)
    world.assert_same_rows(lake, expected)
    assert sum(files for files, _ in seen) == done.files == len(list(folder.iterdir()))
    assert len(seen) > 10
    assert {r.rejected_id for r in lake.rejected()} == {r.rejected_id for r in expected.rejected()}
    for rejected in lake.rejected():
        assert lake.rejected_bytes(rejected) == (folder / Path(rejected.source).name).read_bytes() or (
            rejected.position is not None
        )
    # What is made of it, too.
    other = open_storage(expected.url)
    storage = Storage("local_file", lake)
    with open_engine(cluster.address, configuration(lake.url), lake) as engine:
        assert engine.at_once == 2
        tables = dict(keep_all(engine))
        updated = bring_up_to_date(lake, engine=engine)
        for suffix in ("csv", "ndjson", "parquet", "html"):
            asked = Query(min_severity="medium", date_from="2025-08-02")
            for kept, workers in ((storage, engine), (other, None)):
                name = "spread" if workers else "local"
                exports.export(kept, asked, suffix, f"{tmp_path}/{name}.{suffix}", engine=workers)
        maintained = maintain(engine, lake, timedelta(0))
    assert updated.days == bring_up_to_date(expected).days
    assert [d.day for d in maintained.days] == lake.days()
    assert all(d.files_after == 1 for d in maintained.days)
    world.assert_same_rows(lake, expected)
    problems = [sorted(map(str, _lives(backend))) for backend in (lake, expected)]
    assert problems[0] == problems[1]
    assert len(problems[0]) > 10
    for grain, kept in tables.items():
        assert kept.table.equals(keep(expected, grain).table)
    for suffix in ("csv", "ndjson"):
        one, two = (Path(f"{tmp_path}/{name}.{suffix}").read_bytes() for name in ("spread", "local"))
        assert one == two
        assert one.count(b"\n") > 100
    _assert_same_parquet(f"{tmp_path}/spread.parquet", f"{tmp_path}/local.parquet")


def test_a_worker_is_killed(
    cluster: Dask, folder: Path, local: tuple[Backend, Ingested], tmp_path: Path
) -> None:
    alive = list(cluster.workers)

    def kill(*_: int) -> None:
        if alive:
            cluster.kill(alive.pop())
            alive.clear()

    lake, done = spread(cluster, tmp_path / "lake", folder, kill)
    world.assert_same_counts(done, local[1])
    world.assert_same_rows(lake, local[0])
    assert sum(worker.poll() is None for worker in cluster.workers) == 1


def test_the_scheduler_is_killed(
    cluster: Dask, folder: Path, local: tuple[Backend, Ingested], tmp_path: Path
) -> None:
    def kill(*_: int) -> None:
        if cluster.scheduler is not None and cluster.scheduler.poll() is None:
            cluster.kill(cluster.scheduler)

    with pytest.raises(EngineError, match=r"scheduler at tcp://127\S+ went away .* do the same again"):
        spread(cluster, tmp_path / "lake", folder, kill)
    cluster.whole()
    lake, done = spread(cluster, tmp_path / "lake", folder)
    assert done.runs_stored + done.duplicates + done.runs_rejected == world.RECEIVED
    world.assert_same_rows(lake, local[0])


def test_the_client_is_killed(
    cluster: Dask, folder: Path, local: tuple[Backend, Ingested], tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    client = subprocess.Popen(
        [sys.executable, "-m", "tests.engines.client", cluster.address, str(lake), str(folder)],
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    clusters.wait_until(lambda: len(list(lake.glob("runs/*/*.parquet"))) > 3, "the first commit")
    assert client.poll() is None
    cluster.kill(client)
    backend, done = spread(cluster, lake, folder)
    assert done.duplicates > local[1].duplicates
    assert done.runs_stored + done.duplicates + done.runs_rejected == world.RECEIVED
    world.assert_same_rows(backend, local[0])


def test_secrets_come_from_the_workers_environment(
    cluster: Dask,
    folder: Path,
    local: tuple[Backend, Ingested],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = {"storage_path": str(tmp_path / "lake"), "encryption_key": "${LAKE_KEY}"}
    document = {"storage_backend": "local_file", "storage_config": {"local_file": keys}}
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(document))
    command = [
        Path(sys.executable).with_name("issuelake"),
        "ingest",
        str(folder),
        "--json",
        "--allow-rejects",
    ]
    done = subprocess.run(
        [*command, "--config", config, "--engine", cluster.address],
        capture_output=True,
        text=True,
        env=os.environ | {"LAKE_KEY": SECRET},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["runs_stored"], told["duplicates"]) == (local[1].runs_stored, local[1].duplicates)
    monkeypatch.setenv("LAKE_KEY", SECRET)
    lake = open_storage(config=config).backend
    world.assert_same_rows(lake, local[0])
    for written in (cluster.logs, done.stdout, done.stderr):
        assert SECRET not in written
    assert "stage-" in cluster.logs  # they do tell of each task
    # A worker without the variable says which one it lacks.
    keys["encryption_key"] = "${NOT_THERE}"
    monkeypatch.setenv("NOT_THERE", SECRET)
    with (
        open_engine(cluster.address, document, lake) as engine,
        pytest.raises(ConfigError, match=r"On the worker .*encryption_key needs .* NOT_THERE, which is not"),
    ):
        ingest(lake, sources.find([str(folder)]), engine=engine)


def test_what_a_worker_cannot_read(cluster: Dask, folder: Path, tmp_path: Path) -> None:
    lake = open_storage(str(tmp_path / "lake")).backend
    files = sources.find([str(folder)])
    files[3].path = str(folder / "gone.json")
    with (
        open_engine(cluster.address, configuration(str(tmp_path / "lake")), lake) as engine,
        pytest.raises(StorageError, match=r"On the worker .*Could not read .*gone.json"),
    ):
        ingest(lake, files, engine=engine)


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.engines.dask.REACHED_WITHIN", 1.0)
    lake = open_storage(str(tmp_path)).backend
    address = f"dask://127.0.0.1:{servers.free_port()}"
    with (
        pytest.raises(EngineError, match=r"No Dask scheduler answers at tcp://127\S+ .*`dask scheduler`"),
        open_engine(address, configuration(str(tmp_path)), lake),
    ):
        pass


def _lives(backend: Backend) -> list[tuple[object, ...]]:
    from assets.problems.relation import reading_problems

    query = "SELECT * EXCLUDE (opened_stored_at) FROM problem_lives"
    return reading_problems(backend, lambda connection: connection.execute(query).fetchall())


def _assert_same_parquet(one: str, other: str) -> None:
    import duckdb

    with duckdb.connect() as connection:
        assert connection.sql(f"SELECT count(*) > 100 FROM '{one}'").fetchall() == [(True,)]
        for here, there in ((one, other), (other, one)):
            assert connection.sql(f"FROM '{here}' EXCEPT ALL FROM '{there}'").fetchall() == []
