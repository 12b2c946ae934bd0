"""What the tests of engines share: a Dask cluster, run files, and what one process makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from assets.ingest import Ingested
from resources.backend import Backend
from tests.engines import clusters, world
from tests.engines.clusters import Dask

SECRET = "c0ffee" * 10 + "c0de"
"""The key of a lake, in the environment of the workers."""


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    with clusters.dask(tmp_path_factory.mktemp("dask"), LAKE_KEY=SECRET) as cluster:
        yield cluster


@pytest.fixture
def cluster(running: Dask) -> Dask:
    """A scheduler and two workers, whatever the test before has done to them."""
    running.whole()
    return running


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files") / "runs"
    world.write(folder)
    return folder


@pytest.fixture(scope="package")
def local(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Backend, Ingested]:
    return world.locally(folder, tmp_path_factory.mktemp("local") / "lake")


@pytest.fixture(scope="package")
def sail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Sail server."""
    with clusters.sail(tmp_path_factory.mktemp("sail")) as address:
        yield address


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares of five files."""
    world.small_shares(monkeypatch)
