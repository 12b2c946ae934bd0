"""Deliveries, read one after the other; what was read, as Arrow tables."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, NamedTuple
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UnsetType

from assets.kernel.chunk import Chunk
from assets.kernel.distinct import DistinctIssues
from assets.kernel.documents import json_texts
from assets.kernel.looked import Looked, plugin_of, vouched
from resources import contract
from resources.contract import ContractError, Delivery, ReadRun, Rejection, Run, UnreadRun
from resources.schema import DEFAULT_CHANGE_TYPE

_expected = contract.BARE
"""The unknown fields that were met so far: what follows is likely to have them too. What is
expected makes no difference to what is read, only to how fast."""


class _Accepted(NamedTuple):
    """A run that keeps the contract."""

    delivery: Delivery
    run: Run | UnreadRun
    extra: dict[str, Any] | None
    issues: Sequence[int]
    stated: datetime | None
    """Its timestamp."""


_RUN_COLUMNS = {
    "validation_run_id": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "target_plugin": pa.string(),
    "change_type": pa.string(),
    "pipeline_score": pa.int16(),
    "metadata": pa.string(),
    "extra": pa.string(),
    "content_hash": pa.string(),
    "source": pa.string(),
}
"""Of the table of runs, but for the counts of their issues."""


@dataclass(slots=True)
class _Part:
    """The accepted runs of some deliveries: a row each for the table of runs, and their issues."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    lengths: array[int] = field(default_factory=lambda: array("i"))
    issues: array[int] = field(default_factory=lambda: array("i"))
    rejections: list[Rejection] = field(default_factory=list)

    def accept(self, runs: Sequence[_Accepted], hashes: Sequence[bytes]) -> None:
        """Add `runs`; `hashes` are those of all issues, by number."""
        contents = zip(
            [plugin_of(one.run, one.delivery) for one in runs],
            [one.run.change_type or DEFAULT_CHANGE_TYPE for one in runs],
            [_score(one.run) for one in runs],
            json_texts([one.run.metadata for one in runs]),
            json_texts([one.extra for one in runs]),
            strict=True,
        )
        said = [
            (one.run.validation_run_id, one.stated, *content)
            for one, content in zip(runs, contents, strict=True)
        ]
        hash_of = hashes.__getitem__
        content_hashes = contract.content_hashes(said, [map(hash_of, one.issues) for one in runs])
        for one, (run_id, stated, *content), content_hash in zip(runs, said, content_hashes, strict=True):
            moment = stated or one.delivery.modified or datetime.now(UTC)
            if run_id is None:
                run_id = _made_id(moment, content_hash)
            self.rows.append((run_id, moment, *content, content_hash, one.delivery.source))
            self.lengths.append(len(one.issues))
            self.issues.extend(one.issues)


REMEMBERED_BYTES = 24 * 1024 * 1024
"""Of distinct issues, as delivered, up to which they are remembered from one chunk to the next; in
memory they take three times as much."""


class Builder:
    """Takes deliveries in, in any order, and makes one `Chunk` after the other of them.

    What it has learned from one chunk makes the next one quicker, never different.
    """

    def __init__(self) -> None:
        self._distinct = DistinctIssues()
        self._parts: dict[int, _Part] = {}

    def add(self, deliveries: Sequence[Delivery], place: int = 0) -> None:
        """Read `deliveries`; in the chunk they stand in the order of their `place`."""
        global _expected
        part = self._parts[place] = _Part()
        looked_at = self._look(deliveries)
        sure = vouched([looked for looked in looked_at if looked.identified or looked.identify()])
        accepted: list[_Accepted] = []
        exactly: list[ReadRun] = []
        for looked in looked_at:
            delivery, run = looked.delivery, looked.run
            try:
                if run is not None and looked in sure:
                    extra, stated = _expected.run_extra(run), _stated(run)
                    accepted.append(_Accepted(delivery, run, extra, looked.issues, stated))
                else:
                    read = contract.read_exactly(delivery.raw)
                    accepted.append(self._read_exactly(delivery, read))
                    exactly.append(read)
            except ContractError as error:
                part.rejections.append(
                    Rejection(delivery.source, delivery.raw, error.pointer, error.rule, delivery.position)
                )
        part.accept(accepted, self._distinct.hashes)
        _expected = _expected.expecting(exactly)

    def refuse(self, rejections: Iterable[Rejection], place: int = 0) -> None:
        """Put `rejections` behind what was refused of the deliveries at `place`."""
        self._parts[place].rejections += rejections

    def finish(self) -> Chunk:
        """All that was read since the last time."""
        parts = [self._parts[place] for place in sorted(self._parts)]
        rows = [row for part in parts for row in part.rows]
        columns = list(zip(*rows, strict=True)) or [()] * len(_RUN_COLUMNS)
        runs = pa.table(
            {
                name: pa.array(values, kind)
                for (name, kind), values in zip(_RUN_COLUMNS.items(), columns, strict=True)
            }
        )
        lengths, issues = array("i"), array("i")
        for part in parts:
            lengths += part.lengths
            issues += part.issues
        bounds = list(accumulate(lengths, initial=0))
        numbers = pa.Array.from_buffers(pa.int32(), len(issues), [None, pa.py_buffer(issues)])
        offsets = pa.array(bounds, pa.int32())
        for name, counts in self._distinct.severity_counts(numbers, offsets).items():
            runs = runs.append_column(name, counts)
        run_index, issue_index = _places(offsets, len(issues))
        issue_table = pa.table(
            {
                "run_index": run_index,
                "issue_index": issue_index,
                **{name: _spread(column, numbers) for name, column in self._distinct.columns().items()},
                "fingerprint": self._distinct.fingerprints(issues, bounds),
            }
        )
        self._parts.clear()
        if self._distinct.size > REMEMBERED_BYTES:
            self._distinct = DistinctIssues()
        return Chunk(runs, issue_table, [r for part in parts for r in part.rejections])

    def _look(self, deliveries: Sequence[Delivery]) -> list[Looked]:
        """A first look at `deliveries`; the issues that nobody has met before are read."""
        looked_at = []
        unread: dict[str, dict[bytes, None]] = {}
        for delivery in deliveries:
            try:
                run = _expected.decode(delivery.raw)
            except contract.NOT_DECODED:
                looked_at.append(Looked(delivery))
                continue
            plugin = plugin_of(run, delivery)
            looked = Looked(delivery, run, self._distinct.numbers(plugin))
            looked_at.append(looked)
            if not looked.identified:
                unread.setdefault(plugin, {}).update(dict.fromkeys(looked.unidentified()))
        if unread:
            self._distinct.read(unread, _expected)
        return looked_at

    def _read_exactly(self, delivery: Delivery, read: ReadRun) -> _Accepted:
        run, stated = read.run, _stated(read.run)
        issues = self._distinct.add(plugin_of(run, delivery), run.issues_list or (), read.issue_extras)
        return _Accepted(delivery, run, read.extra, issues, stated)


def _stated(run: Run | UnreadRun) -> datetime | None:
    """The run's timestamp. Raises `ContractError` where it is none."""
    return None if run.timestamp is None else contract.parse_timestamp(run.timestamp)


def _score(run: Run | UnreadRun) -> int | None:
    return None if isinstance(run.pipeline_score, UnsetType) else run.pipeline_score


def _spread(values: pa.Array, numbers: pa.Array) -> pa.DictionaryArray:
    """A row of `values` for each of `numbers`, equal ones stored once."""
    coded = values.dictionary_encode()
    return pa.DictionaryArray.from_arrays(coded.indices.take(numbers), coded.dictionary)


def _places(offsets: pa.Array, count: int) -> tuple[pa.Array, pa.Array]:
    """For each of `count` issues its run's row, and its place in that run."""
    rows = pa.arange(0, count).cast(pa.int32())
    run_index = pc.list_parent_indices(pa.ListArray.from_arrays(offsets, rows)).cast(pa.int32())
    return run_index, pc.subtract(rows, offsets.take(run_index))


def _made_id(moment: datetime, content_hash: str) -> str:
    """A UUIDv7 of the run's moment whose random bits are the content's hash.

    The same file delivered twice, or again after a crash, so gets the same id and is a duplicate.
    """
    milliseconds = max(0, int(moment.timestamp() * 1000)) & (2**48 - 1)
    random = int(content_hash, 16)
    bits = milliseconds << 80 | 0x7 << 76 | (random >> 64 & 0xFFF) << 64
    return str(UUID(int=bits | 0b10 << 62 | random & (2**62 - 1)))
