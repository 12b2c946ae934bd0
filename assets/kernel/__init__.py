"""The ingest kernel: deliveries in, Arrow tables of runs and issues and a list of rejections out.

It knows no storage and no engine, so anything that can map a function over chunks of deliveries
can run it. A chunk is decoded (msgspec, typed), laid out in columns, and vouched for as a whole:
a count proves that no key was lost. Only a chunk that cannot be vouched for is read again run by
run, and only a run that still cannot takes the long way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET

from assets.kernel.columns import Columns
from assets.kernel.content import content_hashes
from assets.kernel.identity import fingerprints
from resources import contract
from resources.contract import ContractError, Delivery, ReadRun, Rejection
from resources.schema import DEFAULT_CHANGE_TYPE, DEFAULT_PLUGIN, SEVERITIES, SEVERITY_COUNTS

_encode = msgspec.json.Encoder(order="sorted").encode
_TIMESTAMP = pa.timestamp("us", tz="UTC")

_expected = contract.BARE
"""The unknown fields that were met so far: the next chunk is likely to have them too. What is
expected makes no difference to what is read, only to how fast."""


@dataclass(slots=True)
class Chunk:
    """What one chunk of deliveries holds; its runs and rejections add up to the deliveries.

    `runs`: a row per accepted run, columns of `schema.RUNS` without those that storing adds
    (`stored_at`, `batch_id`). `issues`: a row per issue, grouped by run in the order of `runs`:
    `run_index` (int32, the row of `runs`), `issue_index`, the fields of an issue, `fingerprint`
    and `extra`.
    """

    runs: pa.Table
    issues: pa.Table
    rejections: list[Rejection]


def build(deliveries: Sequence[Delivery]) -> Chunk:
    """Read `deliveries`; a run without an id or a timestamp is given one."""
    global _expected
    shape = _expected
    reading = _read(deliveries, shape.read_unvouched)
    columns = Columns(reading.accepted, reading.reads)
    moments = contract.parse_timestamps(columns.run_texts["timestamp"].to_pylist())
    if moments is None or not columns.vouched():
        reading = _read(deliveries, shape.read)
        columns = Columns(reading.accepted, reading.reads)
        moments = contract.parse_timestamps(columns.run_texts["timestamp"].to_pylist())
    assert moments is not None  # each was looked at
    _expected = shape.expecting(reading.reads)
    return _chunk(columns, moments, reading.rejections)


@dataclass(slots=True)
class _Reading:
    """The deliveries that keep the contract and what was read from them, row by row; the others."""

    accepted: list[Delivery] = field(default_factory=list)
    reads: list[ReadRun] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


def _read(deliveries: Sequence[Delivery], read: Callable[[bytes], ReadRun]) -> _Reading:
    reading = _Reading()
    for delivery in deliveries:
        try:
            reading.reads.append(read(delivery.raw))
            reading.accepted.append(delivery)
        except ContractError as error:
            reading.rejections.append(
                Rejection(delivery.source, delivery.raw, error.pointer, error.rule, delivery.position)
            )
    return reading


def _chunk(columns: Columns, stated: list[datetime | None], rejections: list[Rejection]) -> Chunk:
    delivered, issue_texts, bounds = columns.run_texts, columns.issue_texts, columns.bounds
    moments = [
        moment or delivery.modified or datetime.now(UTC)
        for moment, delivery in zip(stated, columns.deliveries, strict=True)
    ]
    scores = [read.run.pipeline_score for read in columns.reads]
    content = {
        "target_plugin": pc.coalesce(
            delivered["target_plugin"],
            pa.array([delivery.plugin for delivery in columns.deliveries], pa.string()),
            DEFAULT_PLUGIN,
        ),
        "change_type": delivered["change_type"].fill_null(DEFAULT_CHANGE_TYPE),
        "pipeline_score": pa.array([None if s is UNSET else s for s in scores], pa.int16()),
        "metadata": columns.metadata,
        "extra": columns.extra,
    }
    ids = delivered["validation_run_id"].to_pylist()
    heads = zip(ids, stated, *(column.to_pylist() for column in content.values()), strict=True)
    hashes = content_hashes(map(_encode, heads), bounds, issue_texts)
    runs = pa.table(
        {
            "validation_run_id": [
                _made_id(moment, content_hash) if run_id is None else run_id
                for run_id, moment, content_hash in zip(ids, moments, hashes, strict=True)
            ],
            "timestamp": pa.array(moments, _TIMESTAMP),
            **content,
            **_severity_counts(columns.severities, bounds),
            "content_hash": pa.array(hashes, pa.string()),
            "source": pa.array([delivery.source for delivery in columns.deliveries], pa.string()),
        }
    )
    run_index, issue_index = _places(bounds)
    plugins = content["target_plugin"].take(run_index)
    issues = pa.table(
        {
            "run_index": run_index,
            "issue_index": issue_index,
            **issue_texts,
            "fingerprint": fingerprints(columns, plugins, run_index),
        }
    )
    return Chunk(runs, issues, rejections)


def _places(bounds: list[int]) -> tuple[pa.Array, pa.Array]:
    """For every issue its run's row, and its place in that run."""
    offsets, rows = pa.array(bounds, pa.int32()), pa.arange(0, bounds[-1]).cast(pa.int32())
    run_index = pc.list_parent_indices(pa.ListArray.from_arrays(offsets, rows)).cast(pa.int32())
    return run_index, pc.subtract(rows, offsets.take(run_index))


def _severity_counts(severity: Sequence[str], bounds: list[int]) -> dict[str, pa.Array]:
    per_run = [severity[start:end] for start, end in pairwise(bounds)]
    return {
        column: pa.array([run.count(name) for run in per_run], pa.int32())
        for name, column in zip(SEVERITIES, SEVERITY_COUNTS, strict=True)
    }


def _made_id(moment: datetime, content_hash: str) -> str:
    """A UUIDv7 of the run's moment whose random bits are the content's hash.

    The same file delivered twice, or again after a crash, so gets the same id and is a duplicate.
    """
    milliseconds = max(0, int(moment.timestamp() * 1000)) & (2**48 - 1)
    random = int(content_hash, 16)
    bits = milliseconds << 80 | 0x7 << 76 | (random >> 64 & 0xFFF) << 64
    return str(UUID(int=bits | 0b10 << 62 | random & (2**62 - 1)))
