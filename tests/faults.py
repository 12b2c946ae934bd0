"""Storage that fails on demand: at the n-th call, before it, after it, half way through, or for good."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from resources.errors import StorageError
from resources.files import Entry, FsspecFiles, LocalFiles

T = TypeVar("T")

BEFORE, AFTER, TORN, KILLED = "before", "after", "torn", "killed"
"""The call fails without effect; fails although it worked; leaves half of what it was to write;
the process ends in the middle of it."""


class Killed(BaseException):
    """What a killed process would not live to see."""


class Plan:
    """Which call fails, and how; counts the calls until then.

    Failing before any call is tried; failing after it, half way or for good only with calls that
    write, since with others it comes to the same.
    """

    def __init__(self, number: int, mode: str, exit_with: int | None = None) -> None:
        self.number = number
        self.mode = mode
        self.exit_with = exit_with
        self.calls = 0
        self.fired = False
        self._lock = threading.Lock()

    def call(
        self,
        work: Callable[[], T],
        error: type[Exception],
        writes: bool = False,
        torn: Callable[[], object] | None = None,
    ) -> T:
        with self._lock:
            if self.fired and self.mode == KILLED:
                raise Killed
            counts = self.mode == BEFORE or (torn is not None if self.mode == TORN else writes)
            self.calls += counts
            fires = counts and self.calls == self.number
            self.fired |= fires
        if not fires:
            return work()
        if self.mode == AFTER:
            work()
        if self.mode in (TORN, KILLED) and torn is not None:
            torn()
        if self.mode == KILLED:
            if self.exit_with is not None:
                os._exit(self.exit_with)
            raise Killed
        raise error("fails on demand")


class FaultyLocalFiles(LocalFiles):
    """A local folder each of whose steps can fail."""

    def __init__(self, root: str, plan: Plan) -> None:
        super().__init__(root)
        self.plan = plan

    def folders(self, path: str) -> list[str]:
        return self._step(lambda: super(FaultyLocalFiles, self).folders(path))

    def list_many(self, paths: Sequence[str]) -> list[Entry]:
        return self._step(lambda: super(FaultyLocalFiles, self).list_many(paths))

    def read(self, path: str) -> bytes:
        return self._step(lambda: super(FaultyLocalFiles, self).read(path))

    def remove(self, path: str) -> None:
        self._step(lambda: super(FaultyLocalFiles, self).remove(path), writes=True)

    def paths(self, paths: Sequence[str]) -> list[str]:
        return self._step(lambda: super(FaultyLocalFiles, self).paths(paths))

    def _write_beside(self, target: str, data: bytes) -> str:
        def write(what: bytes) -> str:
            return super(FaultyLocalFiles, self)._write_beside(target, what)

        return self.plan.call(lambda: write(data), OSError, True, lambda: write(data[: len(data) // 2]))

    def _rename(self, temporary: str, target: str) -> None:
        rename = super()._rename
        self.plan.call(lambda: rename(temporary, target), OSError, True)

    def _step(self, work: Callable[[], T], writes: bool = False) -> T:
        return self.plan.call(work, StorageError, writes)


class FaultyFsspecFiles(FsspecFiles):
    """An fsspec storage each of whose calls can fail."""

    def __init__(self, url: str, plan: Plan) -> None:
        super().__init__(url)
        self.fs: Any = _FaultyFilesystem(self.fs, plan)


class _FaultyFilesystem:
    WRITES = frozenset({"pipe_file", "rm_file", "mv", "makedirs"})
    CALLS = frozenset({"ls", "find", "cat_file", "exists", "isdir"}) | WRITES

    def __init__(self, fs: Any, plan: Plan) -> None:
        self._fs = fs
        self._plan = plan

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._fs, name)
        if name not in self.CALLS:
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            torn = None
            if name == "pipe_file" and args[0].endswith(".part"):  # otherwise the storage puts whole files

                def torn() -> None:
                    value(args[0], args[1][: len(args[1]) // 2])

            return self._plan.call(lambda: value(*args, **kwargs), OSError, name in self.WRITES, torn)

        return call
