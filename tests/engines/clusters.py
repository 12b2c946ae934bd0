"""Real clusters, started for the tests on 127.0.0.1 and stopped by process id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import servers

PROGRAMS = Path(sys.executable).parent
COMES_WITHIN = 300.0


def wait_until(there: Callable[[], bool], what: str) -> None:
    """Look for something until it is there."""
    deadline = time.monotonic() + COMES_WITHIN
    while not there():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.1)


@dataclass
class Dask:
    """A scheduler and its workers, of one thread each."""

    folder: Path
    environment: dict[str, str]
    port: int = field(default_factory=servers.free_port)
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _started: int = 0

    @property
    def address(self) -> str:
        return f"dask://127.0.0.1:{self.port}"

    @property
    def logs(self) -> str:
        return "\n".join(path.read_text("utf-8", "replace") for path in self.folder.glob("*.log"))

    def start_scheduler(self) -> None:
        self.scheduler = self._start(
            "scheduler", "--port", str(self.port), "--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"
        )

    def start_worker(self) -> None:
        where = f"tcp://127.0.0.1:{self.port}"
        local = ("--local-directory", str(self.folder / "scratch"))
        self.workers.append(
            self._start(
                "worker",
                where,
                "--no-nanny",
                "--nthreads",
                "1",
                "--no-dashboard",
                "--host",
                "127.0.0.1",
                *local,
            )
        )

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        self._started += 1
        with (self.folder / f"{self._started}-{arguments[0]}.log").open("wb") as log:
            return subprocess.Popen(
                [PROGRAMS / "dask", *arguments],
                stdout=log,
                stderr=log,
                env=os.environ | self.environment,
            )

    def kill(self, process: subprocess.Popen[bytes] | None) -> None:
        """`kill -9`."""
        assert process is not None
        process.send_signal(signal.SIGKILL)
        process.wait(20)

    def whole(self) -> None:
        """Bring it back to a scheduler and two workers."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            for worker in self.workers:
                self.kill(worker)
            self.workers.clear()
            self.start_scheduler()
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < 2:
            self.start_worker()


@contextmanager
def dask(folder: Path, **environment: str) -> Iterator[Dask]:
    """A cluster whose processes tell all they can of what they do, and have `environment`."""
    cluster = Dask(folder, {"DASK_LOGGING__DISTRIBUTED": "debug"} | environment)
    try:
        cluster.whole()
        yield cluster
    finally:
        for process in (cluster.scheduler, *cluster.workers):
            if process is not None and process.poll() is None:
                cluster.kill(process)


@contextmanager
def sail(folder: Path) -> Iterator[str]:
    """The address of a Sail server, which speaks Spark Connect."""
    port = servers.free_port()
    command = [PROGRAMS / "sail", "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(lambda: _listens(port), "Sail")
        yield f"sc://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait(20)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
