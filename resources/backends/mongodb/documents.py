"""Runs as MongoDB documents: how they are made of Arrow tables, and how they become rows again.

A run is one document with its issues in it; null fields are left out. `metadata`, `details` and
`extra` stay JSON text, so that no key in them means anything to the server. BSON's dates have
milliseconds; the microseconds below stand beside them. What does not fit into 16 MB goes into part
documents that the run's document names: more issues, or the bytes of a very long text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from bson import DatetimeMS, ObjectId

from resources.schema import ISSUES, RUN_DATE, RUNS, SEVERITY_COUNTS, arrow_schema

Document = dict[str, Any]

ISSUE_FIELDS = tuple(
    c.name
    for c in ISSUES
    if c.name not in ("validation_run_id", "timestamp", "target_plugin", "batch_id", "run_date")
)
MOMENTS = ("timestamp", "stored_at")
LONG_TEXTS = ("metadata", "extra", "description", "file_path", "recommendation", "details", "category")

DOCUMENT_BYTES = 8 * 1024 * 1024
"""Half of what the server takes, since sizes are estimated."""
TEXT_BYTES = 1024 * 1024
"""A text longer than this has parts of its own, in a run that is too big for one document."""
_ISSUE_OVERHEAD = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AT_ONCE = 512
_ISSUES_AT_ONCE = 10_000


@dataclass(slots=True)
class Stored:
    """A run on its way: its row in the batch, its document, and the parts to be written before it."""

    row: int
    document: Document
    size: int
    parts: list[Document] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What storing adds to a run."""

    stored_at: datetime
    batch_id: str


def encode(runs: pa.Table, issues: pa.Table, stamps: Mapping[int, Stamp]) -> Iterator[Stored]:
    """The documents of the rows of `runs` that `stamps` names."""
    bounds = [0, *accumulate(counts(runs))]
    of_runs = _Issues(issues)
    sizes = pc.cumulative_sum(_sizes(issues)) if issues.num_rows else pa.array([], pa.int64())
    rows = sorted(stamps)
    for start in range(0, len(rows), _AT_ONCE):
        chosen = rows[start : start + _AT_ONCE]
        for row, document in zip(chosen, _heads(runs.take(pa.array(chosen, pa.int64()))), strict=True):
            first, last = bounds[row], bounds[row + 1]
            stamp = stamps[row]
            _put_moment(document, "stored_at", _microseconds(stamp.stored_at))
            document["batch_id"] = stamp.batch_id
            document["issues"] = of_runs.documents(first, last)
            texts = (document.get(name, "") for name in ("_id", "metadata", "extra", "source"))
            size = 1000 + 4 * sum(map(len, texts))  # of UTF-8, at most
            if last > first:
                size += sizes[last - 1].as_py() - (sizes[first - 1].as_py() if first else 0)
            stored = Stored(row, document, size)
            if size > DOCUMENT_BYTES:
                _split(stored)
            yield stored


def counts(runs: pa.Table) -> list[int]:
    """How many issues each run has."""
    total: list[int] = reduce(pc.add, (runs[name] for name in SEVERITY_COUNTS)).to_pylist()
    return total


def moment(document: Document, name: str) -> datetime:
    """The exact moment that stands under `name`."""
    at: datetime = document[name].replace(tzinfo=UTC)
    return at + timedelta(microseconds=document[f"{name}_micros"])


class _Issues:
    """The issues of a table as documents, some thousands of which are made at a time."""

    def __init__(self, issues: pa.Table) -> None:
        self._columns = {name: _Texts(issues[name]) for name in ISSUE_FIELDS}
        self._start = self._end = 0
        self._made: list[Document] = []

    def documents(self, first: int, last: int) -> list[Document]:
        """Those of the rows from `first` to `last`; later calls ask for later rows."""
        if last > self._end:
            self._start, self._end = first, max(last, first + _ISSUES_AT_ONCE)
            self._made = self._make()
        return self._made[first - self._start : last - self._start]

    def _make(self) -> list[Document]:
        columns = {name: c.values(self._start, self._end) for name, c in self._columns.items()}
        columns = {name: values for name, values in columns.items() if any(v is not None for v in values)}
        documents = [dict(zip(columns, issue, strict=True)) for issue in zip(*columns.values(), strict=True)]
        for name, values in columns.items():
            if None in values:
                for document in documents:
                    if document[name] is None:
                        del document[name]
        return documents


class _Texts:
    """A column, of which texts that occur often are made once."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        self._texts: list[Any] | None = None
        if pa.types.is_dictionary(values.type):
            self._texts = [*values.dictionary.to_pylist(), None]
            values = values.indices.fill_null(len(self._texts) - 1)
        self._values = values

    def values(self, first: int, last: int) -> list[Any]:
        values: list[Any] = self._values.slice(first, last - first).to_pylist()
        texts = self._texts
        return values if texts is None else [texts[value] for value in values]


def _heads(runs: pa.Table) -> list[Document]:
    names = [c.name for c in RUNS if c.name in runs.column_names]
    columns = {name: runs[name].to_pylist() for name in names if name not in MOMENTS}
    columns["_id"] = columns.pop("validation_run_id")
    columns["run_date"] = [
        str(d) for d in runs["timestamp"].cast(pa.timestamp("us")).cast(pa.date32()).to_pylist()
    ]
    documents = [
        {name: value for name, value in zip(columns, values, strict=True) if value is not None}
        for values in zip(*columns.values(), strict=True)
    ]
    for document, stamp in zip(documents, runs["timestamp"].cast(pa.int64()).to_pylist(), strict=True):
        _put_moment(document, "timestamp", stamp)
    return documents


def _put_moment(document: Document, name: str, microseconds: int) -> None:
    milliseconds, document[f"{name}_micros"] = divmod(microseconds, 1000)
    document[name] = DatetimeMS(milliseconds)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _sizes(issues: pa.Table) -> pa.Array:
    """About how many bytes each issue takes."""
    sizes = pa.repeat(pa.scalar(_ISSUE_OVERHEAD, pa.int64()), issues.num_rows)
    for name in ISSUE_FIELDS:
        column = issues[name].combine_chunks()
        if pa.types.is_dictionary(column.type):
            lengths = pc.binary_length(column.dictionary).take(column.indices)
        elif pa.types.is_string(column.type):
            lengths = pc.binary_length(column)
        else:
            continue
        sizes = pc.add(sizes, lengths.cast(pa.int64()).fill_null(0))
    return sizes


def _split(stored: Stored) -> None:
    """Move the issues of a run that is too big, and its long texts, into parts."""
    run_id = stored.document["_id"]

    def part(**content: Any) -> ObjectId:
        stored.parts.append({"_id": ObjectId(), "run": run_id[:1000], **content})
        made: ObjectId = stored.parts[-1]["_id"]
        return made

    def shorten(document: Document) -> int:
        """Put the long texts of a document elsewhere; the size of the rest."""
        size = _ISSUE_OVERHEAD
        for name, value in document.items():
            if name in LONG_TEXTS and isinstance(value, str) and len(value) > TEXT_BYTES // 4:
                raw = value.encode()
                pieces = range(0, len(raw), DOCUMENT_BYTES)
                document[name] = {"text": [part(text=raw[p : p + DOCUMENT_BYTES]) for p in pieces]}
            elif isinstance(value, str):
                size += len(value.encode())
        return size

    issues = stored.document.pop("issues")
    shorten(stored.document)
    together: list[Document] = []
    size = 0
    for issue in issues:
        of_issue = shorten(issue)
        if together and size + of_issue > DOCUMENT_BYTES:
            part(issues=together)
            together, size = [], 0
        together.append(issue)
        size += of_issue
    part(issues=together)
    stored.document["parts"] = [p["_id"] for p in stored.parts]


def join(head: Document, parts: Sequence[Document]) -> None:
    """Put back into `head` what `_split` took out of it."""
    texts = {p["_id"]: p["text"] for p in parts if "text" in p}

    def lengthen(document: Document) -> None:
        for name, value in document.items():
            if isinstance(value, dict):
                document[name] = b"".join(texts[i] for i in value["text"]).decode()

    head["issues"] = [issue for p in parts for issue in p.get("issues", ())]
    lengthen(head)
    for issue in head["issues"]:
        lengthen(issue)


def runs_table(heads: Sequence[Document]) -> pa.Table:
    """Documents as rows of `runs`; fields that a document lacks are null."""
    for head in heads:
        head["validation_run_id"] = head["_id"]
    return pa.table(
        {
            f.name: _moments(heads, f.name) if f.name in MOMENTS else _column(heads, f)
            for f in arrow_schema((*RUNS, RUN_DATE))
        }
    )


def issues_table(heads: Sequence[Document], runs: pa.Table) -> pa.Table:
    """The issues in the documents as rows; `runs` is `runs_table` of the same documents."""
    issues = [issue for head in heads for issue in head.get("issues", ())]
    of_run = pa.array([n for n, head in enumerate(heads) for _ in head.get("issues", ())], pa.int64())
    return pa.table(
        {
            f.name: _column(issues, f) if f.name in ISSUE_FIELDS else runs[f.name].take(of_run)
            for f in arrow_schema((*ISSUES, RUN_DATE))
        }
    )


def _column(documents: Sequence[Document], column: pa.Field) -> pa.Array:
    values = [document.get(column.name) for document in documents]
    return (
        pa.array(values, pa.string()).cast(column.type)
        if column.name == "run_date"
        else pa.array(values, column.type)
    )


def _moments(documents: Sequence[Document], name: str) -> pa.Array:
    micros = [int(d[name]) * 1000 + d[f"{name}_micros"] if name in d else None for d in documents]
    return pa.array(micros, pa.int64()).cast(pa.timestamp("us", "UTC"))
