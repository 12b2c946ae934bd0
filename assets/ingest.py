"""Ingest: run files in, batches out, every file accounted for.

Portions of the input are read until a window is full; then the window is stored, while the next
one is read. This process takes the portions from the front of the window, a worker process, where
one pays, from its back, until they meet. Each keeps the issues that it has read and lays out
their files; what is stored, and in which order, is decided here for both.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from assets import sources
from assets.reader import Amount, Read, Reader, without_collector
from assets.sources import RunFile
from assets.staging import Share, Staged, shares, stage, stage_batch
from assets.worker import Worker
from resources import contract
from resources.backend import Backend
from resources.contract import Delivery, Rejection
from resources.engines import Engine, Local
from resources.lake import Lake
from resources.lake.verdict import Appended
from resources.telemetry import Span, span

if TYPE_CHECKING:
    from resources.lake.write import Plan

_LaidOut = Iterable[tuple[date, bytes]]
"""The issues files of a batch."""

WINDOW_BYTES = 64 * 1024 * 1024
"""Of input, as it comes; what a window needs in memory is between a fifth and three times as much."""

WORTH_A_WORKER = 24 * 1024 * 1024
"""Bytes of input from which on a second process is quicker than one: reading holds the interpreter's
lock, so a second thread would wait for the first."""

AHEAD = 2
"""Portions that the worker has been sent and not answered: it never waits for the next one."""


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

JUDGED_AT_ONCE = 16
"""Shares, at most, whose runs are looked up together."""

Progress = Callable[[int, int], None]
"""Called with the files and bytes that were read since the last call."""


def ingest(
    lake: Backend,
    files: Sequence[RunFile],
    max_file_bytes: int = contract.DEFAULT_MAX_FILE_BYTES,
    progress: Progress | None = None,
    engine: Engine | None = None,
) -> Ingested:
    """Store what `files` deliver; everything is durable on return.

    The workers of an `engine` read the files and publish the issues, where there is one; it must be
    one whose workers have `lake`. Raises `StorageError` when a file can't be read or the lake can't be
    written, and `EngineError`; what had been stored by then stays, and ingesting the same again finds
    it as duplicates.
    """
    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        # Arrow's own allocator hands buffers of this size back to the system and takes them anew all
        # the time: twice the system time, and a third more memory at the peak.
        pa.set_memory_pool(pa.system_memory_pool())
    portions = sources.portions(files)
    with span("ingest", backend=lake.name) as current, _Storing(lake, current, progress) as storing:
        if engine is not None and not isinstance(engine, Local):
            _spread(engine, files, max_file_bytes, storing)
        elif isinstance(lake, Lake) and _worth_a_worker(files):
            with Worker(max_file_bytes) as worker:
                reader = Reader(max_file_bytes)
                for window in _windows(portions, sum(file.size for file in files)):
                    _read_from_both_ends(reader, worker, window, storing.seen)
                    storing.store(reader, worker)
        else:
            reader, size = Reader(max_file_bytes), 0
            for place, fetched in enumerate(sources.fetched(portions)):
                size += storing.seen(reader.read(place, fetched))
                if size >= WINDOW_BYTES:
                    storing.store(reader)
                    size = 0
            storing.store(reader)
    return storing.result


def store_deliveries(lake: Backend, deliveries: Sequence[Delivery]) -> Ingested:
    """Store deliveries that are at hand already."""
    with span("ingest", backend=lake.name) as current, _Storing(lake, current) as storing:
        reader = Reader()
        storing.seen(reader.read(0, deliveries))
        storing.store(reader)
    return storing.result


def _worth_a_worker(files: Sequence[RunFile]) -> bool:
    """Whether a second process saves more than it costs to start."""
    local = all(file.fs is None and file.path != sources.STANDARD_INPUT for file in files)
    several = os.name == "posix" and (os.cpu_count() or 1) > 1
    return local and several and sum(file.size for file in files) >= WORTH_A_WORKER


_Window = deque[tuple[int, list[RunFile]]]


def _windows(portions: Iterable[list[RunFile]], total: int) -> Iterator[_Window]:
    """The portions of `total` bytes, numbered, in as few windows of about one size as can be."""
    full = total / math.ceil(total / WINDOW_BYTES)
    window: _Window = deque()
    size = 0
    for place, portion in enumerate(portions):
        window.append((place, portion))
        size += sum(file.size for file in portion)
        if size >= full:
            yield window
            window, size = deque(), 0
    if window:
        yield window


def _read_from_both_ends(
    reader: Reader, worker: Worker, window: _Window, seen: Callable[[Amount], int]
) -> None:
    """Read `window`, this process from the front and the worker from the back, until they meet."""
    sent = 0
    while window or sent:
        # At the end not more than one, so that nobody waits long for the other.
        while window and sent < (AHEAD if len(window) > 2 * AHEAD else 1):
            worker.send("fetch", *window.pop())
            sent += 1
        if window:
            seen(reader.fetch(*window.popleft()))
        while sent and (worker.answered() or not window):
            seen(worker.receive())
            sent -= 1


def _spread(engine: Engine, files: Sequence[RunFile], max_file_bytes: int, storing: _Storing) -> None:
    """Have `engine` stage what `files` deliver, and commit it in their order.

    What is finished while something is committed waits, and is judged together.
    """
    asked: deque[Share] = deque()

    def handed_out() -> Iterator[Share]:
        for share in shares(files, max_file_bytes, engine.at_once):
            asked.append(share)
            yield share

    waiting: list[tuple[Share, Staged]] = []
    for staged in engine.map(stage, handed_out()):
        waiting.append((asked.popleft(), staged))
        storing.seen(staged.amount)
        if storing.idle or len(waiting) == JUDGED_AT_ONCE:
            storing.store_staged(waiting, engine)
            waiting = []
    storing.store_staged(waiting, engine)


class _Storing:
    """Stores one window after the other, and counts."""

    def __init__(self, lake: Backend, current: Span, progress: Progress | None = None) -> None:
        self.result = Ingested()
        self._span = current
        self._lake = lake
        self._progress = progress
        self._bytes = 0
        self._started = time.monotonic()
        self._stack = ExitStack()
        self._pending: Future[Appended] | None = None

    def __enter__(self) -> Self:
        self._stack.enter_context(without_collector())
        self._publishing = self._stack.enter_context(ThreadPoolExecutor(1))
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        with self._stack:
            if failed is None:
                self._settle()
            self._tell()
        self.result.seconds = round(time.monotonic() - self._started, 3)

    def _tell(self) -> None:
        done = self.result
        self._span.tell(
            files=done.files,
            bytes=self._bytes,
            runs=done.runs_stored,
            issues=done.issues_stored,
            duplicates=done.duplicates,
            rejected=done.runs_rejected,
        )

    def seen(self, amount: Amount) -> int:
        """Count what was read; its bytes."""
        self.result.files += amount.files
        self._bytes += amount.size
        if self._progress is not None:
            self._progress(amount.files, amount.size)
        return amount.size

    def store(self, reader: Reader, worker: Worker | None = None) -> None:
        """Store what `reader`, and `worker` after it, have read; durable when the next window is
        stored, or at the end."""
        if worker is not None:
            worker.send("finish")
        parts = [reader.finish()] + ([] if worker is None else [worker.receive()])
        # First, so that nothing is acknowledged and lost; but the window before it still.
        self._settle()
        self._lake.reject([rejection for part in parts for rejection in part.rejections])
        if not isinstance(self._lake, Lake):
            [part] = parts
            _count_rejections(self.result, part.rejections)
            if part.runs.num_rows:
                self._publish(self._lake.append, part.runs, reader.issues)
            return

        def lay_out(plan: Plan) -> list[_LaidOut]:
            if worker is not None:
                worker.send("lay_out", plan.batches[1])
            files = [reader.lay_out(plan.batches[0])] + ([] if worker is None else [worker.receive()])
            return [by_day.items() for by_day in files if by_day]

        self._commit(self._lake, parts, lay_out)

    @property
    def idle(self) -> bool:
        """Whether what was stored last is in the lake."""
        return self._pending is None or self._pending.done()

    def store_staged(self, shares: Sequence[tuple[Share, Staged]], engine: Engine) -> None:
        """Store what the workers of `engine` have staged of `shares`, in this order."""

        def lay_out(plan: Plan) -> list[_LaidOut]:
            """Nothing: the issues are there, or are published now where the batch has become another."""
            judged = zip(shares, plan.batches, strict=True)
            batches = [(share, staged, batch) for (share, staged), batch in judged if batch is not None]
            others = [(share, batch) for share, staged, batch in batches if batch.batch_id != staged.batch_id]
            for _ in engine.map(stage_batch, others):
                pass
            return [() for _ in batches]

        if shares:
            assert isinstance(self._lake, Lake)
            self._settle()
            self._commit(self._lake, [staged for _, staged in shares], lay_out)

    def _commit(
        self, lake: Lake, parts: Sequence[Read | Staged], lay_out: Callable[[Plan], list[_LaidOut]]
    ) -> None:
        """Judge the runs of `parts`, one after the other, and begin to store them.

        What came before must be in the lake, or it would not be found.
        """
        _count_rejections(self.result, [rejection for part in parts for rejection in part.rejections])
        plan = lake.plan([part.runs for part in parts])
        self._publish(lake.commit, plan, lay_out(plan))

    def _publish(self, work: Callable[..., Appended], *arguments: object) -> None:
        # In a copy of the context, so that a span over there is one of this ingest.
        self._pending = self._publishing.submit(copy_context().run, work, *arguments)

    def _settle(self) -> None:
        if self._pending is not None:
            appended = self._pending.result()
            self._pending = None
            self.result.runs_stored += appended.runs_stored
            self.result.duplicates += appended.duplicates
            self.result.issues_stored += appended.issues_stored
            self.result.days |= appended.days


def _count_rejections(result: Ingested, rejections: list[Rejection]) -> None:
    result.runs_rejected += len(rejections)
    room = REASONS_SHOWN - len(result.rejections)
    for rejection in rejections[:room]:
        where = rejection.source if rejection.position is None else f"{rejection.source}:{rejection.position}"
        result.rejections.append(f"{where}: {rejection.reason}")
