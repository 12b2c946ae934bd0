"""What a worker of a cluster does of an ingest: it reads some files and publishes their issues.

Issues without their runs do not exist for any reader, so nothing is stored yet, and doing it twice is
doing it once. The process that ingests judges the runs, and commits what was staged (`assets.ingest`).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import local
from typing import Any, cast

import msgspec
import pyarrow as pa

from assets import sources
from assets.reader import Amount, Reader, without_collector
from assets.sources import RunFile
from resources.backend import Backend
from resources.config import expanded
from resources.contract import Rejection
from resources.errors import StorageError, UsageError
from resources.files import open_filesystem
from resources.lake import Lake
from resources.lake.batch import Batch
from resources.secrets import by_name

STAGED_BYTES = 64 * 1024 * 1024
"""Of input, at most, that one task reads: as much as each of two processes on one machine has of a window."""

STAGED_FILES = 16_000

TASKS_EACH = 4
"""So many tasks for each worker, where there is enough to do, so that all end at about the same time."""

_own = local()
"""Of each thread: its reader, whose memory of one task makes the next quicker, and its storages."""


@dataclass(frozen=True, slots=True)
class Share:
    """The files that one task reads, all of one storage; each worker opens that by itself."""

    files: list[RunFile]
    max_file_bytes: int
    remote: bool
    storage_options: dict[str, Any]

    def opened(self) -> list[RunFile]:
        """The files, with the storage that they are on."""
        if not self.remote:
            return self.files
        fs = _storage(self.files[0].url, self.storage_options)
        return [dataclasses.replace(file, fs=fs) for file in self.files]


@dataclass(frozen=True, slots=True)
class Staged:
    """What was read of a share. The rejections are kept already, and come without their bytes."""

    amount: Amount
    runs: pa.Table
    rejections: list[Rejection]
    batch_id: str | None
    """The batch whose issues were published; None where every run was a duplicate."""


def shares(files: Sequence[RunFile], max_file_bytes: int, workers: int) -> Iterator[Share]:
    """`files`, in their order, in shares for `workers` at a time.

    Raises `UsageError` for standard input, which no worker can read.
    """
    total = sum(file.size for file in files)
    size = min(STAGED_BYTES, max(sources.CHUNK_BYTES, total // (TASKS_EACH * workers)))
    count = min(STAGED_FILES, max(sources.CHUNK_FILES, len(files) // (TASKS_EACH * workers)))
    for portion in sources.portions(files, size, count):
        fs = portion[0].fs
        if portion[0].path == sources.STANDARD_INPUT:
            raise UsageError("Standard input cannot be read by the workers of an engine; write it to a file.")
        if fs is None:
            # Called as before, wherever the worker's current folder is.
            here = [
                dataclasses.replace(file, path=os.path.abspath(file.path), url=file.path) for file in portion
            ]
            yield Share(here, max_file_bytes, False, {})
        else:
            options = {name: value for name, value in fs.storage_options.items() if name not in _CACHES}
            there = [dataclasses.replace(file, fs=None) for file in portion]
            yield Share(there, max_file_bytes, True, by_name(options))


_CACHES = ("skip_instance_cache", "use_listings_cache", "config_kwargs")
"""What `open_filesystem` sets by itself."""


def stage(lake: Backend, share: Share) -> Staged:
    """Read `share`, keep what is refused of it, and publish the issues of what the lake does not have."""
    lake = cast(Lake, lake)
    with without_collector():
        reader, amount = _read(share)
        read = reader.finish()
        lake.reject(read.rejections)
        [batch] = lake.plan([read.runs]).batches if read.runs.num_rows else [None]
        if batch is not None:
            lake.stage(batch, reader.lay_out(batch))
        reader.issues = None  # the next task may be long in coming
    told = [dataclasses.replace(rejection, raw=b"") for rejection in read.rejections]
    return Staged(amount, read.runs, told, None if batch is None else batch.batch_id)


def stage_batch(lake: Backend, what: tuple[Share, Batch]) -> None:
    """Publish the issues of the batch that was made of a share after all.

    It differs from what was staged where a run came in other shares too, or others stored it meanwhile.
    Raises `StorageError` where the files are not those that were read before.
    """
    share, batch = what
    with without_collector():
        reader, _ = _read(share)
        runs = reader.finish().runs
        same = runs.num_rows == batch.run_count
        if not same or runs["content_hash"].take(batch.rows) != batch.runs["content_hash"]:
            raise StorageError(
                f"{share.files[0].name}, or a file after it, changed while it was read: ingest again."
            )
        cast(Lake, lake).stage(batch, reader.lay_out(batch))


def _read(share: Share) -> tuple[Reader, Amount]:
    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        pa.set_memory_pool(pa.system_memory_pool())  # for the reason given in assets/ingest.py
    readers: dict[int, Reader] = _own.__dict__.setdefault("readers", {})
    # Taken out: one that failed on its way keeps what it has read.
    reader = readers.pop(share.max_file_bytes, None) or Reader(share.max_file_bytes)
    whole = Amount(0, 0)
    for place, fetched in enumerate(sources.fetched(sources.portions(share.opened()))):
        amount = reader.read(place, fetched)
        whole = Amount(whole.files + amount.files, whole.size + amount.size)
    readers[share.max_file_bytes] = reader
    return reader, whole


def _storage(url: str, options: dict[str, Any]) -> Any:
    """The storage of `url`, kept open."""
    storages: dict[tuple[str, bytes], Any] = _own.__dict__.setdefault("storages", {})
    known = url.split("/", 3)[:3], msgspec.json.encode(options, enc_hook=str, order="sorted")
    key = "/".join(known[0]), known[1]
    if key not in storages:
        storages[key], _ = open_filesystem(url, expanded(options, "storage_options"))
    return storages[key]
