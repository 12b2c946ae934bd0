"""A worker process that reads its share of a window.

It answers, over a socket, one call of a `Reader` after the other, and ends when the other side does.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from typing import Any, Self

import pyarrow as pa

from assets.reader import Reader
from resources.errors import StorageError

_START = "import sys; sys.modules['numpy'] = None; from assets.worker import serve; serve()"
"""What the process runs. pyarrow does without NumPy where there is none, and that is a quarter of the
time in which the worker is ready."""


class Worker:
    """A process with a `Reader` of its own."""

    def __init__(self, max_file_bytes: int) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):  # so that sending a portion does not wait for the other side
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._connection = Connection(ours.detach())
        with theirs:
            self._process = subprocess.Popen(
                # Not multiprocessing: its workers import the caller's main module, scripts and
                # notebooks would need a guard.
                [sys.executable, "-c", _START, str(theirs.fileno()), str(max_file_bytes)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def send(self, method: str, *arguments: Any) -> None:
        """Call a method of the reader."""
        try:
            self._connection.send((method, arguments))
        except OSError as error:
            raise self._gone() from error

    def answered(self) -> bool:
        """Whether `receive` would not wait."""
        return self._connection.poll()

    def receive(self) -> Any:
        """The answer to the earliest call that has not been answered. Raises what the call raised."""
        try:
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._gone() from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _gone(self) -> StorageError:
        return StorageError(
            f"The worker process ended (exit code {self._process.poll()}), perhaps for want of memory;"
            " what had been stored stays, so ingest the same again."
        )


def _answer(connection: Connection, reader: Reader) -> None:
    """Answer calls until the other side has gone."""
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = getattr(reader, method)(*arguments)
        except Exception as error:  # whatever it is, it is the caller's to handle
            answer = error
        try:
            connection.send(answer)
        except BrokenPipeError:
            return


def serve() -> None:
    """What the process does: its arguments are the number of the socket and the limit for a file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other side is told, and ends this one
    gc.disable()  # for the reason given in assets/ingest.py
    pa.set_memory_pool(pa.system_memory_pool())
    _answer(Connection(int(sys.argv[1])), Reader(int(sys.argv[2])))
