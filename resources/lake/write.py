"""Storing a batch: look the runs up, publish issues, then hints, then runs, then look once more.

The order is what makes it safe without a lock. Issues files mean nothing until their runs file
is there. Hints are durable before the copy that they point to, and mean nothing without it. Two
writers that store the same run on different days in the same moment each look again after they
have published, so the later one sees the earlier one and leaves the hint that neither could know
of before. Only then is the batch acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import reduce
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from resources.deadline import still_wanted
from resources.encryption import Key
from resources.errors import StorageError
from resources.files import Files
from resources.lake import layout
from resources.lake.batch import Batch
from resources.lake.index import Copy, Index
from resources.lake.marks import TICK, Hint, read_deletions, write_hints
from resources.lake.parquet import encode
from resources.lake.verdict import COPIED, Appended, Verdict, judge_copies
from resources.schema import RUNS, SEVERITY_COUNTS, arrow_schema

PUBLISHERS = 32
"""Files on their way at a time: a storage far away answers slowly, but many at once."""

_Written = tuple[Batch, dict[date, bytes]]
"""A batch and its issues files."""


@dataclass(slots=True)
class Plan:
    """What storing some chunks comes to: a batch for each, None where all of it is a duplicate."""

    batches: list[Batch | None]
    result: Appended
    listing: list[layout.DataFile]
    """The files that the lake had when it was made."""


def plan(files: Files, index: Index, parts: Sequence[pa.Table]) -> Plan:
    """How to store the runs of several chunks.

    Of several rows with one run id the last counts, as if they had been stored one by one.
    """
    runs = pa.concat_tables(parts)
    run_ids = runs["validation_run_id"].to_pylist()
    with ThreadPoolExecutor(1) as beside:
        deleted = beside.submit(read_deletions, files, run_ids)
        listing, known = layout.relisting(lambda: _look_up(files, index, run_ids))
        deletions = deleted.result()
    verdicts, result = judge(runs, known, deletions)
    batches = []
    first = 0
    for part in parts:
        of_part = {
            row - first: verdicts[row] for row in range(first, first + part.num_rows) if row in verdicts
        }
        batches.append(_batch(part, of_part, files.key) if of_part else None)
        first += part.num_rows
    stored = [batch for batch in batches if batch is not None]
    result.days = {day for batch in stored for day in batch.days}
    result.issues_stored = _issues_stored(runs, result)
    return Plan(batches, result, listing)


def prepare(
    runs: pa.Table, known: dict[str, list[Copy]], deletions: dict[str, datetime]
) -> tuple[Batch | None, Appended]:
    """What to store of `runs`, given the copies that a storage has which removes what it deletes.

    `deletions` are of interest for copies only: see `judge_copies`.
    """
    verdicts, result = judge(runs, known, deletions)
    batch = _batch(runs, verdicts, None) if verdicts else None
    if batch is not None:
        result.days = set(batch.days)
        result.issues_stored = _issues_stored(runs, result)
    return batch, result


def commit(
    files: Files, index: Index, plan: Plan, issues_files: Sequence[Iterable[tuple[date, bytes]]]
) -> Appended:
    """Store what was planned; durable on return.

    `issues_files` has what each batch lays out, nothing of one whose issues `publish_issues` has published;
    a file is on its way as soon as it is made. Raises `StorageError`; whatever was published by then is
    either whole or invisible.
    """
    batches = [batch for batch in plan.batches if batch is not None]
    if batches:
        written = _publish(files, zip(batches, issues_files, strict=True))
        listing = _look_again(files, index, written, plan.listing)
        # The batches are stored: what is wrong with the index is for `maintain` to say.
        with suppress(StorageError):
            index.tidy(listing)
    return plan.result


def _look_up(
    files: Files, index: Index, run_ids: list[str]
) -> tuple[list[layout.DataFile], dict[str, list[Copy]]]:
    """The files that the lake has, and the copies of `run_ids` in them."""
    listing = layout.data_files(files)
    return listing, index.copies(run_ids, listing)


def judge(
    runs: pa.Table, known: dict[str, list[Copy]], deletions: dict[str, datetime]
) -> tuple[dict[int, Verdict], Appended]:
    """Which rows of `runs` are to be stored, and how; the others are duplicates."""
    if COPIED in runs.column_names:
        return judge_copies(runs, known, deletions)
    now = datetime.now(UTC)
    still_wanted()
    result = Appended()
    in_batch: dict[str, tuple[int, str]] = {}
    verdicts: dict[int, Verdict] = {}
    replaced = 0
    new = Verdict(now, "", set())
    ids_and_hashes = zip(runs["validation_run_id"].to_pylist(), runs["content_hash"].to_pylist(), strict=True)
    for row, (run_id, content_hash) in enumerate(ids_and_hashes):
        if run_id not in in_batch and run_id not in known and run_id not in deletions:
            in_batch[run_id] = row, content_hash
            verdicts[row] = new
            continue
        copies = known.get(run_id, ())
        latest = max(copies, default=None)
        deleted_at = deletions.get(run_id)
        gone = latest is not None and deleted_at is not None and latest.stored_at <= deleted_at
        earlier_row, current = in_batch.get(
            run_id, (None, latest.content_hash if latest and not gone else None)
        )
        if content_hash == current:
            result.duplicates += 1
            result.duplicate_rows.add(row)
            continue
        replaced += earlier_row is not None
        if earlier_row is not None:
            del verdicts[earlier_row]
        in_batch[run_id] = row, content_hash
        moments = [copy.stored_at for copy in copies] + ([deleted_at] if deleted_at else [])
        floor = max(moments, default=None)
        verdicts[row] = Verdict(
            max(now, floor + TICK) if floor else now,
            f"{floor}{latest.batch_id if latest else ''}" if floor else "",
            {copy.day for copy in copies},
        )
    result.runs_stored = len(verdicts) + replaced
    return verdicts, result


def _issues_stored(runs: pa.Table, result: Appended) -> int:
    """How many issues the runs have that are no duplicates, each as if it had been stored by itself."""
    rows = [row for row in range(runs.num_rows) if row not in result.duplicate_rows]
    counts = reduce(pc.add, (runs[name] for name in SEVERITY_COUNTS))
    return int(pc.sum(counts.take(pa.array(rows, pa.int64()))).as_py() or 0)


def _batch(runs: pa.Table, verdicts: dict[int, Verdict], key: Key | None) -> Batch:
    """The rows of `runs` to store, in the order that their files have."""
    runs = runs.drop_columns([COPIED]) if COPIED in runs.column_names else runs
    rows = pa.array(sorted(verdicts), pa.int64())
    kept = runs.take(rows)
    batch_id = layout.content_name(
        f"{run_id}\x1f{content_hash}\x1f{verdicts[row].supersedes}"
        for row, run_id, content_hash in zip(
            rows.to_pylist(),
            kept["validation_run_id"].to_pylist(),
            kept["content_hash"].to_pylist(),
            strict=True,
        )
    )
    stored_at = pa.array([verdicts[r].stored_at for r in rows.to_pylist()], pa.timestamp("us", "UTC"))
    kept = (
        kept.append_column("row", rows)
        .append_column("run_date", kept["timestamp"].cast(pa.timestamp("us")).cast(pa.date32()))
        .append_column("stored_at", stored_at)
        .append_column("batch_id", pa.repeat(batch_id, len(rows)))
    )
    order = [(c, "ascending") for c in ("run_date", "target_plugin", "timestamp", "validation_run_id")]
    kept = kept.sort_by(order).combine_chunks()
    bounds = _bounds(kept["run_date"])
    schema = arrow_schema(RUNS)
    return Batch(
        batch_id,
        kept.select(schema.names).cast(schema),
        kept["row"].combine_chunks(),
        {kept["run_date"][start].as_py(): (start, end) for start, end in pairwise(bounds)},
        runs.num_rows,
        _hints(runs, verdicts),
        key,
    )


def _bounds(column: pa.ChunkedArray) -> list[int]:
    """Where each run of equal values of a sorted column begins, and its end."""
    ends = pc.run_end_encode(column.combine_chunks()).run_ends.to_pylist()
    return [0, *ends]


def _hints(runs: pa.Table, verdicts: dict[int, Verdict]) -> list[Hint]:
    """The days that must learn of a newer copy on another one."""
    hints = []
    for row, verdict in verdicts.items():
        if verdict.other_days:
            day = runs["timestamp"][row].as_py().date()
            run_id = runs["validation_run_id"][row].as_py()
            hints += [Hint(run_id, other, day) for other in verdict.other_days if other != day]
    return hints


def publish_issues(files: Files, batch: Batch, by_day: dict[date, bytes]) -> None:
    """Publish the issues files that `batch` laid out; they mean nothing until it is committed."""
    with ThreadPoolExecutor(PUBLISHERS) as pool:
        list(pool.map(lambda item: _publish_issues_file(files, batch, *item), by_day.items()))


def _publish_issues_file(files: Files, batch: Batch, day: date, data: bytes) -> None:
    files.publish(layout.data_path(layout.ISSUES, day, batch.batch_id), data, renew=True)


def _refuse_missing(files: Files, batches: Sequence[Batch]) -> None:
    """Raises `StorageError` where issues files that others published of `batches` are not there."""
    if not batches:
        return
    found = [(day, batch.batch_id) for batch in batches for day in batch.days]
    expected = {layout.data_path(layout.ISSUES, day, batch_id) for day, batch_id in found}
    days = sorted({day for day, _ in found})
    there = {e.path for e in files.list_many([layout.day_folder(layout.ISSUES, day) for day in days])}
    if missing := sorted(expected - there):
        raise StorageError(
            f"What the workers wrote is not in {files.url} ({missing[0]} is missing): give the lake as a"
            " folder or URL that is the same storage for all of them and for this process."
        )


def _publish(files: Files, batches: Iterable[tuple[Batch, Iterable[tuple[date, bytes]]]]) -> list[_Written]:
    def runs_file(batch: Batch, day: date, data: Future[bytes]) -> None:
        files.publish(layout.data_path(layout.RUNS, day, batch.batch_id), data.result())

    written: list[_Written] = []
    with ThreadPoolExecutor(PUBLISHERS) as pool:
        on_their_way = []
        for batch, laid_out in batches:
            of_batch: dict[date, bytes] = {}
            for day, data in laid_out:
                of_batch[day] = data
                on_their_way.append(pool.submit(_publish_issues_file, files, batch, day, data))
            written.append((batch, of_batch))
        every = [(batch, day) for batch, _ in written for day in batch.days]
        made = [pool.submit(encode, batch.runs_of(day), key=files.key) for batch, day in every]
        for issues in on_their_way:
            issues.result()
        _refuse_missing(files, [batch for batch, of_batch in written if not of_batch])
        write_hints(files, [hint for batch, _ in written for hint in batch.hints])
        list(pool.map(runs_file, *zip(*every, strict=True), made))
    return written


def _look_again(
    files: Files, index: Index, written: list[_Written], before: list[layout.DataFile]
) -> list[layout.DataFile]:
    """Leave hints for copies that others published meanwhile; make sure that the issues are there.

    Answers what the lake has now.
    """
    days = sorted({day for batch, _ in written for day in batch.days})
    seen = {(f.day, f.name) for f in before}
    own = {(day, batch.batch_id) for batch, _ in written for day in batch.days}
    ids = pa.concat_arrays([batch.runs["validation_run_id"].combine_chunks() for batch, _ in written])

    def published_since() -> tuple[list[layout.DataFile], dict[str, list[Copy]]]:
        listing = layout.data_files(files)
        since = [f for f in listing if (f.day, f.name) not in seen | own]
        return listing, index.copies_in(since, ids) if since else {}

    with ThreadPoolExecutor(1) as beside:
        looking = beside.submit(layout.relisting, published_since)
        there = {f.issues_path for f in layout.data_files(files, days, layout.ISSUES, among=len(before))}
        for batch, issues in written:
            for day in batch.days:
                path = layout.data_path(layout.ISSUES, day, batch.batch_id)
                if issues and path not in there:  # what others published is as they left it
                    files.publish(path, issues[day], renew=True)
        listing, others = looking.result()
    if others:
        write_hints(files, [hint for batch, _ in written for hint in _hints_at(batch, others)])
    return listing


def _hints_at(batch: Batch, others: dict[str, list[Copy]]) -> Iterator[Hint]:
    """What must be said of copies of the batch's runs in `others`, which were published meanwhile."""
    for day in batch.days:
        runs = batch.runs_of(day)
        for run_id, stored_at in zip(
            runs["validation_run_id"].to_pylist(), runs["stored_at"].to_pylist(), strict=True
        ):
            for other in others.get(run_id, ()):
                newer = (other.stored_at, other.batch_id) > (stored_at, batch.batch_id)
                loser, winner = (day, other.day) if newer else (other.day, day)
                if loser != winner:
                    yield Hint(run_id, loser, winner)
