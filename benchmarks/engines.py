"""Ingest by Dask: what a second worker of one thread brings, and what a cluster costs against one process."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from assets import sources
from assets.ingest import ingest
from benchmarks import generate
from benchmarks.measure import Row, Setup, interleaved, scratch, seconds, times_as_fast
from resources.config import configuration, open_storage
from resources.engines import open_engine

TITLE = "Ingest by Dask: 20,000 files of about 5 KB"

DASK = str(Path(sys.executable).with_name("dask"))


def run(setup: Setup) -> list[Row]:
    inbox = generate.small_files(setup.scale(20_000, 1_000))
    with scratch() as folder, _cluster(folder, 1) as one, _cluster(folder, 2) as two:
        lakes = iter(range(1_000_000))
        contenders = {
            name: partial(_ingested, address, inbox, folder, lakes)
            for name, address in (("one", one), ("two", two), ("local", "local"))
        }
        for contender in contenders.values():  # workers import what they need with their first task
            contender()
        samples = interleaved(contenders, setup.rounds)
    rows = [
        times_as_fast("two workers against one", samples["two"], samples["one"], 1.6),
        times_as_fast(
            "two workers against the two processes without an engine", samples["two"], samples["local"]
        ),
    ]
    rows[0].note = "of one thread each, on this machine, with the client and the scheduler beside them"
    return rows


def _ingested(address: str, inbox: Path, folder: Path, lakes: Iterator[int]) -> float:
    lake = str(folder / f"lake-{next(lakes)}")
    opened = open_storage(lake).backend
    files = sources.find([str(inbox)])
    with open_engine(address, configuration(lake), opened) as engine:
        return seconds(lambda: ingest(opened, files, engine=engine))


@contextmanager
def _cluster(folder: Path, workers: int) -> Iterator[str]:
    """The address of a scheduler with `workers` workers of one thread each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = ("--host", "127.0.0.1")
    scheduler = [DASK, "scheduler", *here, "--port", str(port), "--dashboard-address", "127.0.0.1:0"]
    worker = [
        DASK,
        "worker",
        f"tcp://127.0.0.1:{port}",
        *here,
        "--no-nanny",
        "--nthreads",
        "1",
        "--no-dashboard",
    ]
    worker += ["--local-directory", str(folder / "dask")]
    with (folder / f"dask-{workers}.log").open("wb") as log:
        processes = [
            subprocess.Popen(command, stdout=log, stderr=log) for command in [scheduler, *[worker] * workers]
        ]
    try:
        yield f"dask://127.0.0.1:{port}"
    finally:
        for process in processes:
            process.terminate()
            process.wait()
