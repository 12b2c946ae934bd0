"""Ingest: run files in, batches out, every file accounted for.

Threads fetch and read portions side by side while the batch before is stored. A batch is stored
whenever enough has been read, so memory stays bounded however much comes in.
"""

from __future__ import annotations

import gc
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from assets import kernel, sources
from assets.kernel import Chunk
from assets.sources import RunFile
from resources import contract
from resources.contract import Delivery, Rejection
from resources.lake import Lake
from resources.lake.write import Appended

BATCH_BYTES = 96 * 1024 * 1024
"""Of Arrow data; storing a batch takes about twice as much again."""

WORTH_A_WORKER = 24 * 1024 * 1024
"""Bytes of input from which on a second process is quicker than one: decoding holds the interpreter's
lock, so a second thread would wait for the first."""

WAITING = 6
"""Portions that are read or being read, and not stored yet."""


@dataclass(slots=True)
class Ingested:
    """What became of everything that came in.

    Runs received = `runs_stored` + `runs_rejected` + `duplicates`; a file that is refused as a
    whole counts as one.
    """

    files: int = 0
    runs_stored: int = 0
    runs_rejected: int = 0
    duplicates: int = 0
    issues_stored: int = 0
    seconds: float = 0.0
    days: set[date] = field(default_factory=set)
    rejections: list[str] = field(default_factory=list)
    """The first reasons, at most `REASONS_SHOWN`."""


REASONS_SHOWN = 20

Progress = Callable[[int, int], None]
"""Called with the files and bytes that were read since the last call."""


def ingest(
    lake: Lake,
    files: Sequence[RunFile],
    max_file_bytes: int = contract.DEFAULT_MAX_FILE_BYTES,
    progress: Progress | None = None,
) -> Ingested:
    """Store what `files` deliver; everything is durable on return.

    Raises `StorageError` when a file can't be read or the lake can't be written; what had been
    stored by then stays, and ingesting the same again finds it as duplicates.
    """
    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        # Arrow's own allocator hands buffers of this size back to the system and takes them anew all
        # the time: twice the system time, and a third more memory at the peak.
        pa.set_memory_pool(pa.system_memory_pool())
    with ExitStack() as stack:
        readers = [stack.enter_context(_Reader.in_a_thread())]
        if _worth_a_worker(files):
            readers.append(stack.enter_context(_Reader.in_a_process()))
        portions = sources.portions(files)
        return store(lake, _read_ahead(readers, portions, max_file_bytes), progress)


class _Reader:
    """Something that reads one portion after the other."""

    def __init__(self, pool: Executor, stop: Callable[[], None]) -> None:
        self._pool = pool
        self._stop = stop
        self.latest: Future[Portion] | None = None

    @classmethod
    def in_a_thread(cls) -> Self:
        pool = ThreadPoolExecutor(1)
        return cls(pool, lambda: pool.shutdown(cancel_futures=True))

    @classmethod
    def in_a_process(cls) -> Self:
        # loky's workers do not import the caller's main module, so scripts and notebooks need no guard.
        from loky import ProcessPoolExecutor

        pool = ProcessPoolExecutor(1)
        return cls(pool, lambda: pool.shutdown(wait=True, kill_workers=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def busy(self) -> bool:
        return self.latest is not None and not self.latest.done()

    def submit(self, portion: list[RunFile], max_file_bytes: int) -> Future[Portion]:
        self.latest = self._pool.submit(fetch_and_read, portion, max_file_bytes)
        return self.latest


def _read_ahead(
    readers: list[_Reader], portions: Iterable[list[RunFile]], max_file_bytes: int
) -> Iterator[Portion]:
    """The portions in their order, each read by whoever is free, never more than a few waiting."""
    pending: deque[Future[Portion]] = deque()
    for portion in portions:
        free = [reader for reader in readers if not reader.busy()]
        while not free:
            wait([r.latest for r in readers if r.latest], return_when=FIRST_COMPLETED)
            free = [reader for reader in readers if not reader.busy()]
        pending.append(free[0].submit(portion, max_file_bytes))
        while len(pending) > WAITING or (pending and pending[0].done()):
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _worth_a_worker(files: Sequence[RunFile]) -> bool:
    """Whether a second process saves more than it costs to start."""
    local = all(file.fs is None and file.path != sources.STANDARD_INPUT for file in files)
    return local and (os.cpu_count() or 1) > 1 and sum(file.size for file in files) >= WORTH_A_WORKER


def store_deliveries(lake: Lake, deliveries: Sequence[Delivery]) -> Ingested:
    """Store deliveries that are at hand already."""
    return store(lake, [read(deliveries, contract.DEFAULT_MAX_FILE_BYTES)])


def store(lake: Lake, portions: Iterable[Portion], progress: Progress | None = None) -> Ingested:
    """Store portions as they come, a batch at a time, while the next ones are read."""
    started = time.monotonic()
    result = Ingested()
    with _no_collector(), ThreadPoolExecutor(1) as storing:
        batch = _Batch()
        pending: Future[Appended] | None = None
        for portion in portions:
            batch.add(portion.chunk)
            result.files += portion.files
            _count_rejections(result, portion.chunk.rejections)
            if progress is not None:
                progress(portion.files, portion.size)
            if batch.size >= BATCH_BYTES:
                _count_stored(result, pending)
                pending = storing.submit(batch.store, lake)
                batch = _Batch()
        _count_stored(result, pending)
        _count_stored(result, storing.submit(batch.store, lake))
    result.seconds = round(time.monotonic() - started, 3)
    return result


@dataclass(slots=True)
class Portion:
    """A chunk, and how many files and bytes it was read from."""

    chunk: Chunk
    files: int
    size: int


def read(deliveries: Sequence[Delivery], max_file_bytes: int) -> Portion:
    """What the files in `deliveries` hold."""
    runs: list[Delivery] = []
    refused: list[Rejection] = []
    for delivery in deliveries:
        held, not_held = contract.split(delivery, max_file_bytes)
        runs += held
        refused += not_held
    chunk = kernel.build(runs)
    chunk.rejections += refused
    return Portion(chunk, len(deliveries), sum(len(delivery.raw) for delivery in deliveries))


def fetch_and_read(portion: list[RunFile], max_file_bytes: int) -> Portion:
    """One step of an ingest, whichever thread, process or machine takes it."""
    with _no_collector():
        return read(sources.fetch(portion), max_file_bytes)


class _Batch:
    """Chunks on their way to storage."""

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        self._runs = 0
        self.size = 0

    def add(self, chunk: Chunk) -> None:
        shifted = pc.add(chunk.issues["run_index"], pa.scalar(self._runs, pa.int32()))
        issues = chunk.issues.set_column(0, "run_index", shifted)
        self._chunks.append(Chunk(chunk.runs, issues, chunk.rejections))
        self._runs += chunk.runs.num_rows
        self.size += chunk.runs.nbytes + chunk.issues.nbytes

    def store(self, lake: Lake) -> Appended:
        """Make the batch durable: what was refused first, so nothing is acknowledged and lost."""
        lake.reject([r for chunk in self._chunks for r in chunk.rejections])
        if not self._runs:
            return Appended()
        runs = pa.concat_tables([chunk.runs for chunk in self._chunks])
        issues = pa.concat_tables([chunk.issues for chunk in self._chunks])
        self._chunks.clear()
        return lake.append(runs, issues)


def _count_stored(result: Ingested, stored: Future[Appended] | None) -> None:
    if stored is not None:
        appended = stored.result()
        result.runs_stored += appended.runs_stored
        result.duplicates += appended.duplicates
        result.issues_stored += appended.issues_stored
        result.days |= appended.days


def _count_rejections(result: Ingested, rejections: list[Rejection]) -> None:
    result.runs_rejected += len(rejections)
    room = REASONS_SHOWN - len(result.rejections)
    for rejection in rejections[:room]:
        where = rejection.source if rejection.position is None else f"{rejection.source}:{rejection.position}"
        result.rejections.append(f"{where}: {rejection.reason}")


@contextmanager
def _no_collector() -> Iterator[None]:
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
