"""A PostgreSQL server that can be killed, frozen and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.servers import Sql, postgresql


def send(processes: list[int], what: signal.Signals) -> None:
    """Signal those of `processes` that are still there."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, what)


class Restartable:
    """A PostgreSQL server that can be killed with all its processes, and started again over what it kept."""

    def __init__(self, server: Sql, folder: Path) -> None:
        self.process: subprocess.Popen[bytes] = server.process
        self._arguments = server.process.args
        self.folder = folder
        self.port: int = server.port
        self.password: str = server.password

    def processes(self) -> list[int]:
        """The server and those that it has begun: it alone does not serve a connection."""
        parent = self.process.pid
        found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [parent, *map(int, found)]

    def kill(self) -> None:
        processes = self.processes()
        send(processes, signal.SIGKILL)
        self.process.wait(10)
        until = time.monotonic() + 10
        # What they share in memory must have gone, or a new server refuses to start.
        while any(Path(f"/proc/{process}").exists() for process in processes) and time.monotonic() < until:
            time.sleep(0.01)

    def start(self) -> None:
        """Returns once it takes connections."""
        import psycopg

        self._begin()
        until = time.monotonic() + 60
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
                # One that was forked while the others were killed keeps their memory until it notices.
                if self.process.poll() is not None:
                    self._begin()

    def _begin(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._arguments,
                stderr=log,
                user="postgres" if os.geteuid() == 0 else None,
                cwd=self.folder,
            )

    def connect(self, database: str = "plugpipe") -> Any:
        """The owner's connection, past every proxy."""
        import psycopg

        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            password=self.password,
            dbname=database,
            autocommit=True,
            options="-c default_transaction_read_only=off",
        )


@contextmanager
def restartable(folder: Path) -> Iterator[Restartable]:
    """A PostgreSQL server that is there in the end as it was in the beginning."""
    with postgresql(folder) as server:
        again = Restartable(server, folder)
        try:
            yield again
        finally:
            with suppress(ProcessLookupError, FileNotFoundError):
                send(again.processes(), signal.SIGCONT)
                if again.process is not server.process:
                    again.kill()
