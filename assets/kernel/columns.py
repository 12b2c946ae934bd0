"""The fields of many runs side by side, as Arrow arrays, and the count that vouches for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET

from resources import contract
from resources.contract import Delivery, ReadRun

SHALLOW = 180
"""So many opening brackets fit into a document of a run or an issue and leave it within the
contract's depth, however they are nested."""

_encode_lines = msgspec.json.Encoder(order="sorted").encode_lines


class Columns:
    """Runs (`deliveries` and what was read from them, row by row) and all their issues.

    Texts are as delivered, null where the field was absent; documents (`metadata`, `details`,
    `extra`) are compact JSON with sorted keys. The issues of run i are the rows `bounds[i]` to
    `bounds[i + 1]`.
    """

    def __init__(self, deliveries: Sequence[Delivery], reads: Sequence[ReadRun]) -> None:
        self.deliveries = deliveries
        self.reads = reads
        runs = [read.run for read in reads]
        listed = [run.issues_list or () for run in runs]
        self.bounds = list(accumulate(map(len, listed), initial=0))
        issues = list(chain.from_iterable(listed))
        self.severities = [issue.severity for issue in issues]
        self.details = [issue.details for issue in issues]
        self.run_texts = {
            "validation_run_id": _texts([run.validation_run_id for run in runs]),
            "timestamp": _texts([run.timestamp for run in runs]),
            "target_plugin": _texts([run.target_plugin for run in runs]),
            "change_type": _texts([run.change_type for run in runs]),
        }
        self.metadata = _documents([run.metadata for run in runs])
        self.extra = _documents([read.extra for read in reads])
        self.issue_texts = {
            "category": _texts([issue.category for issue in issues]),
            "severity": _texts(self.severities),
            "description": _texts([issue.description for issue in issues]),
            "file_path": _texts([issue.file_path for issue in issues]),
            "recommendation": _texts([issue.recommendation for issue in issues]),
            "details": _documents(self.details),
            "extra": self._issue_extra(),
        }

    def vouched(self) -> bool:
        """Whether no key of the documents was lost, and nothing in them is nested too deeply.

        Every colon of a document is a key's or stands in a text. A key that was dropped, because
        it occurs twice, leaves the documents with more of them than there are here.
        """
        if any(contract.may_hide_colons(delivery.raw) for delivery in self.deliveries):
            return False
        delivered = sum(delivery.raw.count(b":") for delivery in self.deliveries)
        return delivered == self._colons() and not any(map(_may_be_deep, self._all_documents()))

    def _colons(self) -> int:
        """The colons that the documents must hold if these fields are all there is in them."""
        runs = [read.run for read in self.reads]
        keys = sum((run.pipeline_score is not UNSET) + (run.issues_list is not None) for run in runs)
        fields = [*self.run_texts.values(), *self.issue_texts.values(), self.metadata, self.extra]
        colons = sum(_colons_in(column) + len(column) - int(column.null_count) for column in fields)
        # What stands in `extra` stood beside the other fields: it had no key of its own.
        wrapped = (self.extra, self.issue_texts["extra"])
        return keys + colons - sum(len(column) - int(column.null_count) for column in wrapped)

    def _all_documents(self) -> Iterable[pa.Array]:
        return self.metadata, self.extra, self.issue_texts["details"], self.issue_texts["extra"]

    def _issue_extra(self) -> pa.Array:
        if not any(read.issue_extras for read in self.reads):
            return pa.nulls(len(self.details), pa.string())
        rows: list[dict[str, Any] | None] = [None] * len(self.details)
        for start, read in zip(self.bounds, self.reads, strict=False):
            for index, extra in (read.issue_extras or {}).items():
                rows[start + index] = extra
        return _documents(rows)


def _texts(values: Sequence[str | None]) -> pa.Array:
    return pa.array(values, pa.string())


def _documents(documents: Sequence[dict[str, Any] | None]) -> pa.Array:
    """Objects as compact JSON with sorted keys."""
    present = documents if None not in documents else [d for d in documents if d is not None]
    # A line each: JSON has no raw line breaks in its strings.
    lines = _encode_lines(present).split(b"\n")
    lines.pop()
    if len(present) == len(documents):
        return pa.array(lines, pa.string())
    following = iter(lines)
    return pa.array([None if d is None else next(following) for d in documents], pa.string())


def _colons_in(texts: pa.Array) -> int:
    data = texts.buffers()[2]
    return 0 if data is None else bytes(data).count(b":")


def _may_be_deep(documents: pa.Array) -> bool:
    long = documents.filter(pc.greater(pc.binary_length(documents), 2 * SHALLOW))
    brackets = pc.add(pc.count_substring(long, "{"), pc.count_substring(long, "["))
    return bool(len(long)) and bool(pc.any(pc.greater(brackets, SHALLOW)).as_py())
