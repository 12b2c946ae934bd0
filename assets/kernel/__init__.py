"""The ingest kernel: deliveries in, Arrow tables of runs and issues and a list of rejections out.

It knows no storage and no engine, so anything that can map a function over chunks of deliveries
can run it. A chunk is read in columns: decode (msgspec), lay the fields out as Arrow arrays,
vouch for all of them at once that no key was lost, hash. Only a chunk that cannot be vouched for
is read again run by run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, chain, pairwise, repeat
from typing import Any
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET

from resources import contract, fingerprint
from resources.contract import ContractError, Delivery, Issue, ReadRun, Rejection
from resources.schema import DEFAULT_CHANGE_TYPE, DEFAULT_PLUGIN, SEVERITIES, SEVERITY_COUNTS

BULK_ISSUES = 2000
"""From here on fingerprints are folded by polars; fewer would not repay its import."""

_encode = msgspec.json.Encoder(order="sorted").encode
_DEEP_ENOUGH_TO_LOOK = contract.MAX_DEPTH * len('{"":}')
"""No document of fewer characters can be nested too deeply."""

_TIMESTAMP = pa.timestamp("us", tz="UTC")


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
    columns = _read_together(deliveries)
    if columns is not None:
        return _chunk(columns, [])
    accepted: list[Delivery] = []
    reads: list[ReadRun] = []
    rejections: list[Rejection] = []
    for delivery in deliveries:
        try:
            reads.append(_checked(delivery))
            accepted.append(delivery)
        except ContractError as error:
            rejections.append(
                Rejection(delivery.source, delivery.raw, error.pointer, error.rule, delivery.position)
            )
    return _chunk(_Columns(accepted, reads), rejections)


def _read_together(deliveries: Sequence[Delivery]) -> _Columns | None:
    """The columns of `deliveries` where every one of them keeps the contract and no key was lost."""
    decode = contract.decode_unvouched
    try:
        columns = _Columns(deliveries, [ReadRun(decode(d.raw)) for d in deliveries])
        for read in columns.reads:
            _check_timestamp(read)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ContractError):
        return None
    if columns.longest_document() > _DEEP_ENOUGH_TO_LOOK:
        return None
    if any(b"\\" in d.raw and b"\\u003" in d.raw for d in deliveries):
        return None
    colons = sum(d.raw.count(b":") for d in deliveries)
    return columns if columns.colons() == colons else None


def _checked(delivery: Delivery) -> ReadRun:
    read = contract.read_run(delivery.raw)
    _check_timestamp(read)
    return read


def _check_timestamp(read: ReadRun) -> None:
    if read.run.timestamp is not None:
        contract.parse_timestamp(read.run.timestamp)


class _Columns:
    """The fields of many runs side by side, as delivered."""

    def __init__(self, deliveries: Sequence[Delivery], reads: list[ReadRun]) -> None:
        self.deliveries = deliveries
        self.reads = reads
        runs = [read.run for read in reads]
        listed = [run.issues_list or () for run in runs]
        self.bounds = list(accumulate(map(len, listed), initial=0))
        issues: list[Issue] = list(chain.from_iterable(listed))
        fields = list(zip(*map(msgspec.structs.astuple, issues), strict=True)) or [()] * 6
        severity, description, category, file_path, recommendation, details = fields
        self.severity: Sequence[str] = severity
        self.details: Sequence[dict[str, Any] | None] = details
        self.run_texts = {
            name: pa.array([getattr(run, name) for run in runs], pa.string())
            for name in ("validation_run_id", "timestamp", "target_plugin", "change_type")
        }
        self.run_texts["metadata"] = _documents([run.metadata for run in runs])
        self.issue_texts = {
            "category": pa.array(category, pa.string()),
            "severity": pa.array(severity, pa.string()),
            "description": pa.array(description, pa.string()),
            "file_path": pa.array(file_path, pa.string()),
            "recommendation": pa.array(recommendation, pa.string()),
            "details": _documents(details),
        }

    def colons(self) -> int:
        """The colons that the documents must hold if these fields are all there is in them."""
        keys = sum((r.run.pipeline_score is not UNSET) + (r.run.issues_list is not None) for r in self.reads)
        texts = [*self.run_texts.values(), *self.issue_texts.values()]
        return keys + sum(len(t) - int(t.null_count) + _bytes(t).count(b":") for t in texts)

    def longest_document(self) -> int:
        """The most characters that a `details` or `metadata` has."""
        lengths = (pc.max(pc.binary_length(t)).as_py() for t in self._documents())
        return max(length or 0 for length in lengths)

    def _documents(self) -> Iterator[pa.Array]:
        yield self.run_texts["metadata"]
        yield self.issue_texts["details"]


def _bytes(texts: pa.Array) -> bytes:
    data = texts.buffers()[2]
    return bytes(data) if data is not None else b""


def _documents(documents: Sequence[dict[str, Any] | None]) -> pa.Array:
    """Objects as compact JSON with sorted keys."""
    return pa.array([None if d is None else _encode(d) for d in documents], pa.binary()).cast(pa.string())


def _chunk(columns: _Columns, rejections: list[Rejection]) -> Chunk:
    delivered, bounds = columns.run_texts, columns.bounds
    stated = [
        None if read.run.timestamp is None else contract.parse_timestamp(read.run.timestamp)
        for read in columns.reads
    ]
    moments = [
        moment or delivery.modified or datetime.now(UTC)
        for moment, delivery in zip(stated, columns.deliveries, strict=True)
    ]
    scores = [read.run.pipeline_score for read in columns.reads]
    content = {
        "target_plugin": delivered["target_plugin"].fill_null(DEFAULT_PLUGIN),
        "change_type": delivered["change_type"].fill_null(DEFAULT_CHANGE_TYPE),
        "pipeline_score": pa.array([None if s is UNSET else s for s in scores], pa.int16()),
        "metadata": delivered["metadata"],
        "extra": _documents([read.extra for read in columns.reads]),
    }
    issue_extra = _issue_extra(columns)
    ids = delivered["validation_run_id"].to_pylist()
    heads = zip(ids, stated, *(column.to_pylist() for column in content.values()), strict=True)
    hashes = _content_hashes(map(_encode, heads), bounds, [*columns.issue_texts.values(), issue_extra])
    runs = pa.table(
        {
            "validation_run_id": [
                _made_id(moment, content_hash) if run_id is None else run_id
                for run_id, moment, content_hash in zip(ids, moments, hashes, strict=True)
            ],
            "timestamp": pa.array(moments, _TIMESTAMP),
            **content,
            **_severity_counts(columns.severity, bounds),
            "content_hash": hashes,
            "source": [delivery.source for delivery in columns.deliveries],
        }
    )
    sizes = [end - start for start, end in pairwise(bounds)]
    run_index = pa.array(chain.from_iterable(map(repeat, range(len(sizes)), sizes)), pa.int32())
    issues = pa.table(
        {
            "run_index": run_index,
            "issue_index": pa.array(chain.from_iterable(map(range, sizes)), pa.int32()),
            **columns.issue_texts,
            "fingerprint": _fingerprints(columns, content["target_plugin"].take(run_index)),
            "extra": issue_extra,
        }
    )
    return Chunk(runs, issues, rejections)


def _issue_extra(columns: _Columns) -> pa.Array:
    rows: list[dict[str, Any] | None] = [None] * len(columns.severity)
    for start, read in zip(columns.bounds, columns.reads, strict=False):
        for index, extra in (read.issue_extras or {}).items():
            rows[start + index] = extra
    return _documents(rows)


def _severity_counts(severity: Sequence[str], bounds: list[int]) -> dict[str, pa.Array]:
    per_run = [severity[start:end] for start, end in pairwise(bounds)]
    return {
        column: pa.array([run.count(name) for run in per_run], pa.int32())
        for name, column in zip(SEVERITIES, SEVERITY_COUNTS, strict=True)
    }


def _content_hashes(heads: Iterable[bytes], bounds: list[int], columns: list[pa.Array]) -> list[str]:
    """A hash per run over its own fields (`heads`) and its rows of the issue columns.

    A column adds the lengths of its texts (-1 for an absent one), then the texts, so no two
    different runs feed the hash the same bytes. How the delivered JSON was laid out leaves no trace.
    """
    views = []
    for column in columns:
        lengths = pc.fill_null(pc.binary_length(column), -1)
        views.append(
            (
                memoryview(lengths.buffers()[1] or b"").cast("B"),
                memoryview(column.buffers()[1] or b"").cast("B").cast("i"),
                memoryview(column.buffers()[2] or b"").cast("B"),
            )
        )
    hashes = []
    for head, (start, end) in zip(heads, pairwise(bounds), strict=True):
        content = hashlib.sha256(head)
        if start != end:
            for lengths, offsets, texts in views:
                content.update(lengths[4 * start : 4 * end])
                content.update(texts[offsets[start] : offsets[end]])
        hashes.append(content.hexdigest()[:32])
    return hashes


def _made_id(moment: datetime, content_hash: str) -> str:
    """A UUIDv7 of the run's moment whose random bits are the content's hash.

    The same file delivered twice, or again after a crash, so gets the same id and is a duplicate.
    """
    milliseconds = max(0, int(moment.timestamp() * 1000)) & (2**48 - 1)
    random = int(content_hash, 16)
    bits = milliseconds << 80 | 0x7 << 76 | (random >> 64 & 0xFFF) << 64
    return str(UUID(int=bits | 0b10 << 62 | random & (2**62 - 1)))


def _fingerprints(columns: _Columns, plugins: pa.Array) -> pa.Array:
    rules = [fingerprint.rule_of(details) if details else "" for details in columns.details]
    texts = columns.issue_texts
    parts = (
        plugins,
        texts["category"],
        pa.array(rules, pa.string()),
        texts["file_path"],
        texts["description"],
    )
    if len(rules) < BULK_ISSUES:
        identities = list(map(fingerprint.identity, *(part.to_pylist() for part in parts)))
    else:
        identities = _identities_in_bulk(*parts)
    digests = list(map(fingerprint.digest, identities))
    per_run = (fingerprint.tell_apart(digests[start:end]) for start, end in pairwise(columns.bounds))
    return pa.array(list(chain.from_iterable(per_run)), pa.string())


def _identities_in_bulk(*parts: pa.Array) -> list[bytes]:
    """What `fingerprint.identity` gives row by row; polars folds several times as fast as `re`."""
    import polars as pl

    *plain, description = map(pl.Series, parts)
    folded = description.str.replace_all(fingerprint.VOLATILE, fingerprint.PLACEHOLDER)
    joined = pl.select(
        pl.concat_str(*(part.fill_null("") for part in plain), folded, separator=fingerprint.SEPARATOR)
    )
    return joined.to_series().cast(pl.Binary).to_list()
