"""2,000 objects in an S3 that is 40 ms away: many requests in flight against one at a time."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from assets import ingest, sources
from benchmarks import generate
from benchmarks.measure import Row, Setup, interleaved, scratch, seconds, times_as_fast
from benchmarks.proxy import HOST
from resources.config import open_storage
from resources.contract import Delivery

TITLE = "S3 with 40 ms of latency: ingest of 2,000 objects"

LATENCY = 0.040
BUCKET = "inbox"


def run(setup: Setup) -> list[Row]:
    count = setup.scale(2_000, 60)
    fsspec.get_filesystem_class("s3")  # imports the driver, which neither side is to pay for
    with _s3(generate.small_files(count)) as far:

        def ours() -> float:
            with scratch() as folder:
                lake = open_storage(str(folder)).backend
                return seconds(lambda: ingest.ingest(lake, sources.find([f"s3://{BUCKET}"], far)))

        def one_at_a_time() -> float:
            with scratch() as folder:
                lake = open_storage(str(folder)).backend
                return seconds(lambda: ingest.store_deliveries(lake, list(_one_by_one(far))))

        samples = interleaved({"ours": ours, "peer": one_at_a_time}, setup.rounds)
    return [times_as_fast("against one fetch at a time", samples["ours"], samples["peer"], 10)]


def _one_by_one(options: dict[str, Any]) -> Iterator[Delivery]:
    """The objects, each by a single request: without `max_concurrency` s3fs asks for the size first."""
    for file in sources.find([f"s3://{BUCKET}"], options):
        assert file.fs is not None
        yield Delivery(file.name, file.fs.cat_file(file.path, max_concurrency=1), file.modified)


@contextmanager
def _s3(folder: Path) -> Iterator[dict[str, Any]]:
    """How to reach an S3 far away that holds the files of `folder`; each server is a process of its own."""
    server_port, proxy_port = _free_port(), _free_port()
    commands = (
        ["s3_server", str(server_port), BUCKET, str(folder)],
        ["proxy", str(proxy_port), str(server_port), str(LATENCY)],
    )
    servers = [
        subprocess.Popen([sys.executable, "-m", f"benchmarks.{name}", *rest], stderr=subprocess.DEVNULL)
        for name, *rest in commands
    ]
    try:
        for port in (server_port, proxy_port):
            _wait_for(port)
        yield {"endpoint_url": f"http://{HOST}:{proxy_port}", "key": "test", "secret": "test"}
    finally:
        for server in servers:
            server.terminate()
            server.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def _wait_for(port: int, patience: float = 30.0) -> None:
    """Return when something listens at `port`. Raises `ConnectionError` where nothing ever does."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port)).close()
            return
        except OSError:
            time.sleep(0.05)
    raise ConnectionError(f"nothing listens at port {port}")
