"""Storing runs: look them up, write what is new or changed, look again at what others changed meanwhile.

One document is one run, so replacing it is one step for whoever reads. A run is only replaced if it
still is what it was when it was looked up, and only inserted if it is not there; whatever another
writer was quicker with is judged anew. Parts are written before the document that names them, and
those of a replaced run go after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime

import pyarrow as pa

from resources.backends.mongodb.connection import Collections, Connection, Document
from resources.backends.mongodb.deletions import hidden
from resources.backends.mongodb.documents import Stamp, Stored, counts, encode, moment
from resources.errors import StorageError
from resources.lake import layout
from resources.lake.index import Copy
from resources.lake.verdict import Appended
from resources.lake.write import judge

ATTEMPTS = 20
"""How often runs are looked up anew that others write in the same moment."""
_CHUNK_BYTES = 16 * 1024 * 1024
_CHUNK_RUNS = 1000
_IN_FLIGHT = 2
_IDS_AT_ONCE = 1000


@dataclass(slots=True)
class Known:
    """What the database has of the runs to be stored."""

    copies: dict[str, list[Copy]] = field(default_factory=dict)
    deleted: dict[str, datetime] = field(default_factory=dict)
    parts: dict[str, list[Document]] = field(default_factory=dict)


def append(
    connection: Connection, runs: pa.Table, issues: pa.Table, deletions: Mapping[str, datetime]
) -> Appended:
    """Store the rows of `runs` with their issues; `deletions` are for copies. Raises `StorageError`."""
    into = connection.writing
    result: Appended | None = None
    stored: set[int] = set()
    rows = list(range(runs.num_rows))
    ids = runs["validation_run_id"].to_pylist()
    hashes = runs["content_hash"].to_pylist()
    for _ in range(ATTEMPTS):
        known = look_up(connection, [ids[row] for row in rows])
        deleted = {**known.deleted, **deletions}
        verdicts, judged = judge(runs.take(pa.array(rows, pa.int64())), known.copies, deleted)
        if result is None:
            result = judged
        else:  # what was taken for stored and is not, since another has stored the same
            result.runs_stored -= judged.duplicates
            result.duplicates += judged.duplicates
            result.duplicate_rows |= {rows[row] for row in judged.duplicate_rows}
        chosen = {rows[row]: verdict for row, verdict in verdicts.items()}
        batch_id = layout.content_name(
            f"{ids[row]}\x1f{hashes[row]}\x1f{verdict.supersedes}" for row, verdict in chosen.items()
        )
        stamps = {row: Stamp(verdict.stored_at, batch_id) for row, verdict in chosen.items()}
        lost = _write(into, encode(runs, issues, stamps), known)
        stored |= set(chosen) - lost
        rows = sorted(lost)
        if not rows:
            break
    else:
        raise StorageError(f"Could not store {len(rows)} runs in {connection.url}: others write them too.")
    numbers = counts(runs)
    moments = runs["timestamp"]
    result.issues_stored = sum(numbers[row] for row in stored)
    result.days = {moments[row].as_py().date() for row in stored}
    return result


def look_up(connection: Connection, run_ids: Sequence[str]) -> Known:
    """The copies of `run_ids`, those among them that are deleted, and the parts that they name."""
    fields = ("content_hash", "stored_at", "stored_at_micros", "batch_id", "run_date", "parts")
    gone = hidden(connection.writing)
    known = Known()
    for some in _some(list(dict.fromkeys(run_ids))):
        for found in connection.writing.runs.find({"_id": {"$in": some}}, fields):
            run_id, batch_id = found["_id"], found["batch_id"]
            at = moment(found, "stored_at")
            copy = Copy(at, batch_id, found["content_hash"], date.fromisoformat(found["run_date"]))
            known.copies[run_id] = [copy]
            if (run_id, batch_id) in gone:
                known.deleted[run_id] = at
            if "parts" in found:
                known.parts[run_id] = found["parts"]
    return known


def _some(ids: list[str]) -> Iterator[list[str]]:
    """`ids`, so many at a time as fit into one command."""
    some: list[str] = []
    size = 0
    for run_id in ids:
        if len(some) == _IDS_AT_ONCE or size > 1_000_000:
            yield some
            some, size = [], 0
        some.append(run_id)
        size += len(run_id)
    if some:
        yield some


def _write(into: Collections, runs: Iterable[Stored], known: Known) -> set[int]:
    """Write the documents; the rows of those that another writer was quicker with.

    While some are under way to the server the next ones are made.
    """
    lost: set[int] = set()
    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        pending: list[Future[set[int]]] = []
        for chunk in _chunks(runs):
            if len(pending) == _IN_FLIGHT:
                lost |= pending.pop(0).result()
            pending.append(pool.submit(_write_chunk, into, chunk, known))
        for future in pending:
            lost |= future.result()
    return lost


def _chunks(runs: Iterable[Stored]) -> Iterator[list[Stored]]:
    chunk: list[Stored] = []
    size = 0
    for run in runs:
        if chunk and (len(chunk) == _CHUNK_RUNS or size + run.size > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(run)
        size += run.size
    if chunk:
        yield chunk


def _write_chunk(into: Collections, chunk: Sequence[Stored], known: Known) -> set[int]:
    for part in (part for run in chunk for part in run.parts):
        into.parts.insert_one(part)
    new = [run for run in chunk if run.document["_id"] not in known.copies]
    changed = [run for run in chunk if run.document["_id"] in known.copies]
    return _insert(into, new) | (_replace(into, changed, known) if changed else set())


def _insert(into: Collections, runs: Sequence[Stored]) -> set[int]:
    """Insert what is not there; the rows of what is."""
    from pymongo.errors import BulkWriteError

    if not runs:
        return set()
    try:
        into.runs.insert_many([run.document for run in runs], ordered=False)
    except BulkWriteError as error:
        refused = error.details["writeErrors"]
        if error.details["writeConcernErrors"] or any(r["code"] != _DUPLICATE_KEY for r in refused):
            raise
        return {runs[r["index"]].row for r in refused}
    return set()


_DUPLICATE_KEY = 11000


def _replace(into: Collections, runs: Sequence[Stored], known: Known) -> set[int]:
    """Replace what is still as it was; the rows of what is not."""
    from pymongo import ReplaceOne

    before = {run.document["_id"]: known.copies[run.document["_id"]][0].batch_id for run in runs}
    answer = into.runs.bulk_write(
        [
            ReplaceOne({"_id": i, "batch_id": before[i]}, r.document)
            for r in runs
            for i in [r.document["_id"]]
        ],
        ordered=False,
    )
    lost: set[int] = set()
    if answer.matched_count < len(runs):
        now = {
            found["_id"]: found["batch_id"]
            for some in _some(list(before))
            for found in into.runs.find({"_id": {"$in": some}}, ["batch_id"])
        }
        lost = {r.row for r in runs if now.get(r.document["_id"]) != r.document["batch_id"]}
    old = [part for run in runs if run.row not in lost for part in known.parts.get(run.document["_id"], ())]
    if old:
        into.parts.delete_many({"_id": {"$in": old}})
    return lost
