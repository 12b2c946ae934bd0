"""Deliveries, read one after the other; what was read, as Arrow tables."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, cast
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UnsetType

from assets.kernel.chunk import Chunk
from assets.kernel.distinct import SHALLOW, DistinctIssues
from resources import contract
from resources.contract import ContractError, Delivery, ReadRun, Rejection, Run, UnreadRun
from resources.schema import DEFAULT_CHANGE_TYPE, DEFAULT_PLUGIN, SEVERITIES, SEVERITY_COUNTS

_encode = msgspec.json.Encoder(order="sorted").encode

_expected = contract.BARE
"""The unknown fields that were met so far: what follows is likely to have them too. What is
expected makes no difference to what is read, only to how fast."""


class _Looked:
    """A delivery at the first look: decoded but for its issues, or not at all (then `run` is None).

    `issues` are the numbers of its `raws`, once each has one.
    """

    __slots__ = ("delivery", "identified", "issues", "numbers", "raws", "run")

    def __init__(self, delivery: Delivery, run: UnreadRun | None, numbers: dict[bytes, int]) -> None:
        self.delivery = delivery
        self.run = run
        self.numbers = numbers
        self.raws = [] if run is None else list(map(bytes, run.issues_list or ()))
        self.identify()

    def identify(self) -> bool:
        """Look the issues up; whether each is known."""
        found = list(map(self.numbers.get, self.raws))
        self.identified = None not in found
        self.issues = cast(list[int], found) if self.identified else []
        return self.identified

    def unidentified(self) -> list[bytes]:
        """The issues that are not known."""
        return [raw for raw in self.raws if raw not in self.numbers]


@dataclass(slots=True)
class _Part:
    """The accepted runs of some deliveries: a row each for the table of runs, and their issues."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    lengths: array[int] = field(default_factory=lambda: array("i"))
    issues: array[int] = field(default_factory=lambda: array("i"))
    rejections: list[Rejection] = field(default_factory=list)


_RUN_COLUMNS = {
    "validation_run_id": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "target_plugin": pa.string(),
    "change_type": pa.string(),
    "pipeline_score": pa.int16(),
    "metadata": pa.string(),
    "extra": pa.string(),
    **dict.fromkeys(SEVERITY_COUNTS, pa.int32()),
    "content_hash": pa.string(),
    "source": pa.string(),
}


REMEMBERED_BYTES = 16 * 1024 * 1024
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
        exactly: list[ReadRun] = []
        for looked in self._look(deliveries):
            try:
                if not self._take(part, looked):
                    exactly.append(self._take_exactly(part, looked.delivery))
            except ContractError as error:
                delivery = looked.delivery
                part.rejections.append(
                    Rejection(delivery.source, delivery.raw, error.pointer, error.rule, delivery.position)
                )
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
        issue_table = self._issue_table(issues, list(accumulate(lengths, initial=0)))
        self._parts.clear()
        if self._distinct.size > REMEMBERED_BYTES:
            self._distinct = DistinctIssues()
        return Chunk(runs, issue_table, [r for part in parts for r in part.rejections])

    def _issue_table(self, issues: array[int], bounds: list[int]) -> pa.Table:
        numbers = pa.Array.from_buffers(pa.int32(), len(issues), [None, pa.py_buffer(issues)])
        run_index, issue_index = _places(bounds)
        return pa.table(
            {
                "run_index": run_index,
                "issue_index": issue_index,
                **{name: _spread(column, numbers) for name, column in self._distinct.columns().items()},
                "fingerprint": self._distinct.fingerprints(issues, bounds),
            }
        )

    def _look(self, deliveries: Sequence[Delivery]) -> list[_Looked]:
        """A first look at `deliveries`; the issues that nobody has met before are read."""
        looked_at = []
        unread: dict[str, dict[bytes, None]] = {}
        for delivery in deliveries:
            try:
                run = _expected.decode(delivery.raw)
            except contract.NOT_DECODED:
                looked_at.append(_Looked(delivery, None, {}))
                continue
            plugin = _plugin(run, delivery)
            looked = _Looked(delivery, run, self._distinct.numbers(plugin))
            looked_at.append(looked)
            if not looked.identified:
                unread.setdefault(plugin, {}).update(dict.fromkeys(looked.unidentified()))
        if unread:
            self._distinct.read(unread, _expected)
        return looked_at

    def _take(self, part: _Part, looked: _Looked) -> bool:
        """Take the run in if it can be vouched for: no key of it was lost, and it is not too deep."""
        run = looked.run
        if run is None or not (looked.identified or looked.identify()):
            return False
        issues, raw = looked.issues, looked.delivery.raw
        listed = run.issues_list is not None
        run.issues_list = None  # type: ignore[assignment]  # absent, as it may be: so it is not encoded
        fields = _encode(run)
        colons = fields.count(b":") + listed
        if (head := _head(raw, looked.raws)) is None:
            head = raw
            colons += sum(issue.count(b":") for issue in looked.raws)
        # Every colon is a key's or stands in a text: a key that was dropped, because it occurs
        # twice, leaves the document with more of them than there are fields.
        if contract.may_hide_colons(head) or colons != head.count(b":"):
            return False
        if fields.count(b"{") + fields.count(b"[") > SHALLOW:
            return False
        self._accept(part, looked.delivery, run, _expected.run_extra(run), issues)
        return True

    def _take_exactly(self, part: _Part, delivery: Delivery) -> ReadRun:
        read = contract.read_exactly(delivery.raw)
        run = read.run
        plugin = _plugin(run, delivery)
        if run.timestamp is not None:
            contract.parse_timestamp(run.timestamp)
        issues = self._distinct.add(plugin, run.issues_list or (), read.issue_extras)
        self._accept(part, delivery, run, read.extra, issues)
        return read

    def _accept(
        self,
        part: _Part,
        delivery: Delivery,
        run: Run | UnreadRun,
        extra: dict[str, Any] | None,
        issues: Sequence[int],
    ) -> None:
        """Add the run to `part`. Raises `ContractError` where its timestamp is none."""
        stated = None if run.timestamp is None else contract.parse_timestamp(run.timestamp)
        score = run.pipeline_score
        content = (
            _plugin(run, delivery),
            DEFAULT_CHANGE_TYPE if run.change_type is None else run.change_type,
            None if isinstance(score, UnsetType) else score,
            None if run.metadata is None else _encode(run.metadata).decode(),
            None if extra is None else _encode(extra).decode(),
        )
        hashes = map(self._distinct.hashes.__getitem__, issues)
        content_hash = contract.content_hash(run.validation_run_id, stated, content, hashes)
        moment = stated or delivery.modified or datetime.now(UTC)
        run_id = run.validation_run_id
        severities = bytes(map(self._distinct.severities.__getitem__, issues))
        part.rows.append(
            (
                _made_id(moment, content_hash) if run_id is None else run_id,
                moment,
                *content,
                *map(severities.count, range(len(SEVERITIES))),
                content_hash,
                delivery.source,
            )
        )
        part.lengths.append(len(issues))
        part.issues.extend(issues)


def _plugin(run: Run | UnreadRun, delivery: Delivery) -> str:
    if run.target_plugin is not None:
        return run.target_plugin
    return DEFAULT_PLUGIN if delivery.plugin is None else delivery.plugin


def _head(raw: bytes, issues: list[bytes]) -> bytes | None:
    """`raw` without its `issues`, where nothing but a comma stands between them; None elsewhere."""
    if not issues:
        return None
    start, end = raw.find(issues[0]), raw.rfind(issues[-1]) + len(issues[-1])
    if end - start != sum(map(len, issues)) + len(issues) - 1:
        return None
    return raw[:start] + raw[end:]


def _spread(values: pa.Array, numbers: pa.Array) -> pa.DictionaryArray:
    """A row of `values` for each of `numbers`, equal ones stored once."""
    coded = values.dictionary_encode()
    return pa.DictionaryArray.from_arrays(coded.indices.take(numbers), coded.dictionary)


def _places(bounds: list[int]) -> tuple[pa.Array, pa.Array]:
    """For every issue its run's row, and its place in that run."""
    offsets, rows = pa.array(bounds, pa.int32()), pa.arange(0, bounds[-1]).cast(pa.int32())
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
