"""What an engine may do to a task, whatever engine it is: run it twice, or where the lake is another one."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assets import sources
from assets.ingest import ingest
from resources.backend import Backend
from resources.config import configuration, open_storage
from resources.engines import open_engine
from resources.engines.calls import Call, perform
from resources.engines.reference import Reference
from resources.errors import EngineError, StorageError, UsageError
from tests.engines import world


@dataclass
class Careless:
    """An engine in this process that runs every task `times`, over a lake of its own."""

    lake: Backend
    times: int = 2
    name: str = "careless"
    at_once: int = 3

    def map(self, function: Callable[[Backend, Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        done = []
        for task in tasks:
            for _ in range(self.times):
                answer = function(self.lake, pickle.loads(pickle.dumps(task)))
            done.append(pickle.loads(pickle.dumps(answer)))
        yield from done  # all were staged before the first is judged


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    world.write(tmp_path / "runs")
    return tmp_path / "runs"


def test_a_task_that_runs_twice_counts_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, counts = world.locally(folder, tmp_path / "local")
    assert counts.runs_stored + counts.duplicates + counts.runs_rejected == world.RECEIVED
    assert counts.runs_rejected == world.REJECTED
    world.small_shares(monkeypatch)
    lake = open_storage(str(tmp_path / "spread")).backend
    done = ingest(lake, sources.find([str(folder)]), engine=Careless(lake))
    world.assert_same_counts(done, counts)
    world.assert_same_rows(lake, expected)
    assert [r.rejected_id for r in lake.rejected()] == [r.rejected_id for r in expected.rejected()]
    again = ingest(lake, sources.find([str(folder)]), engine=Careless(lake))
    world.assert_same_counts(again, world.locally(folder, tmp_path / "local")[1])
    world.assert_same_rows(lake, expected)


def test_workers_with_another_disk_are_found_out(folder: Path, tmp_path: Path) -> None:
    lake, elsewhere = (open_storage(str(tmp_path / name)).backend for name in ("here", "there"))
    with pytest.raises(StorageError, match="the same storage for all of them"):
        ingest(lake, sources.find([str(folder)]), engine=Careless(elsewhere))
    assert lake.days() == []


def test_a_file_that_changes_meanwhile_is_found_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.small_shares(monkeypatch)
    lake = open_storage(str(tmp_path / "lake")).backend

    class Changing(Careless):
        def map(self, function: Callable[[Backend, Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
            if function.__name__ == "stage_batch":
                for path in folder.glob("*.json"):
                    path.write_text(path.read_text("latin-1").replace("problem", "trouble"), "latin-1")
            yield from super().map(function, tasks)

    with pytest.raises(StorageError, match="changed while it was read"):
        ingest(lake, sources.find([str(folder)]), engine=Changing(lake))


def test_a_worker_of_another_version_refuses(tmp_path: Path) -> None:
    lake = open_storage(str(tmp_path)).backend
    reference = Reference(configuration(str(tmp_path)), lake)
    answer = perform(Call(_days, reference, None, "0.0.1"))
    with pytest.raises(EngineError, match=r"runs issuelake .* this process 0\.0\.1: install the same"):
        answer.get()


def _days(lake: Backend, _: None) -> int:
    return len(lake.days())


def test_secrets_stay_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_KEY", key := "ab" * 32)
    document: dict[str, Any] = {
        "storage_backend": "local_file",
        "storage_config": {
            "local_file": {"storage_path": str(tmp_path / "lake"), "encryption_key": "${LAKE_KEY}"},
            "postgresql": {"host": "db", "username": "u", "password": "another-secret"},
        },
    }
    (tmp_path / "config.yaml").write_text(str(document))
    lake = open_storage(config=tmp_path / "config.yaml").backend
    reference = Reference(document, lake)
    call = Call(_days, reference, None, "1")
    for told in (pickle.dumps(call), repr(call).encode(), repr(reference).encode()):
        assert key.encode() not in told
        assert b"another-secret" not in told
    assert pickle.loads(pickle.dumps(reference)).open().files.key == lake.files.key
    # Written out, but the same as in the environment: the workers are told the name.
    document["storage_config"]["local_file"]["encryption_key"] = key
    reference = Reference(document, lake)
    assert key.encode() not in pickle.dumps(reference)
    assert pickle.loads(pickle.dumps(reference)).open().files.key == lake.files.key


@pytest.mark.parametrize("address", ["dusk://x:1", "dask:", "dask://", "spark:", "sc://", "", "LOCAL"])
def test_an_address_that_is_none(address: str, tmp_path: Path) -> None:
    lake = open_storage(str(tmp_path)).backend
    with (
        pytest.raises(UsageError, match="is not an engine; known are local, dask://"),
        open_engine(address, configuration(str(tmp_path)), lake),
    ):
        pass


def test_only_lakes_are_spread(tmp_path: Path) -> None:
    document = {
        "storage_backend": "sqlite",
        "storage_config": {"sqlite": {"database_path": f"{tmp_path}/i.db"}},
    }
    (tmp_path / "config.yaml").write_text(str(document))
    lake = open_storage(config=tmp_path / "config.yaml").backend
    with pytest.raises(UsageError, match=r"sqlite is a database; name a lake"):
        Reference(document, lake)
    several = {"storage_config": {"fsspec": {"url": f"file://{tmp_path}/l"}}}
    (tmp_path / "config.yaml").write_text(str(several))
    lake = open_storage(config=tmp_path / "config.yaml").backend
    with pytest.raises(UsageError, match=r"one of several backends; name a lake"):
        Reference(several, lake)


def test_standard_input_is_of_this_process(tmp_path: Path) -> None:
    lake = open_storage(str(tmp_path)).backend
    with pytest.raises(UsageError, match="Standard input cannot be read by the workers"):
        ingest(lake, sources.find(["-"]), engine=Careless(lake))
