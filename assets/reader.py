"""Reading a window of the input, in this process or in a worker, either of which keeps what it has read."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from assets import sources
from assets.kernel import Builder
from assets.sources import RunFile
from resources import contract
from resources.contract import Delivery, Rejection
from resources.lake.batch import Batch


@dataclass(slots=True)
class Amount:
    """How much was read in one go."""

    files: int
    size: int
    """Bytes, as they came."""


@dataclass(slots=True)
class Read:
    """What a reader has read, but for the issues, which it keeps."""

    runs: pa.Table
    rejections: list[Rejection]


class Reader:
    """Reads the portions of a window, in any order, and lays out what is to be stored of it."""

    def __init__(self, max_file_bytes: int = contract.DEFAULT_MAX_FILE_BYTES) -> None:
        self._max_file_bytes = max_file_bytes
        self._builder = Builder()
        self.issues: pa.Table | None = None
        """Those of what `finish` gave."""

    def fetch(self, place: int, portion: Sequence[RunFile]) -> Amount:
        """Read the files of `portion`, which stands at `place` in the window."""
        return self.read(place, sources.fetch(portion))

    def read(self, place: int, files: Sequence[Delivery]) -> Amount:
        """Read `files`, whole as they came."""
        if self.issues is not None:  # a new window begins
            self.issues = None
            pa.default_memory_pool().release_unused()
        runs: list[Delivery] = []
        refused: list[Rejection] = []
        for file in files:
            held, not_held = contract.split(file, self._max_file_bytes)
            runs += held
            refused += not_held
        self._builder.add(runs, place)
        self._builder.refuse(refused, place)
        return Amount(len(files), sum(len(file.raw) for file in files))

    def finish(self) -> Read:
        """All that was read since the last time."""
        chunk = self._builder.finish()
        self.issues = chunk.issues
        return Read(chunk.runs, chunk.rejections)

    def lay_out(self, batch: Batch | None) -> dict[date, bytes]:
        """The issues files of `batch`, which was made of what `finish` gave."""
        assert self.issues is not None
        return {} if batch is None else dict(batch.lay_out(self.issues))


@contextmanager
def without_collector() -> Iterator[None]:
    """Without the cycle collector, which would walk millions of fresh objects again and again.

    What decoding makes holds no cycles, so counting references frees it all.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
