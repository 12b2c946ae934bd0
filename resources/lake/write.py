"""Storing a batch: look the runs up, publish issues, then hints, then runs, then look once more.

The order is what makes it safe without a lock. Issues files mean nothing until their runs file
is there. Hints are durable before the copy that they point to, and mean nothing without it. Two
writers that store the same run on different days in the same moment each look again after they
have published, so the later one sees the earlier one and leaves the hint that neither could know
of before. Only then is the batch acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from resources.files import Files
from resources.lake import layout
from resources.lake.index import Copy, Index
from resources.lake.marks import Hint, read_deletions, write_hints
from resources.lake.parquet import encode, repeats
from resources.schema import ISSUES, RUNS, SEVERITIES, SEVERITY_COUNTS, arrow_schema

PUBLISHERS = 4
_TICK = timedelta(microseconds=1)


@dataclass(slots=True)
class Appended:
    """What became of a batch: every run of it was stored or is a duplicate."""

    runs_stored: int = 0
    duplicates: int = 0
    issues_stored: int = 0
    days: set[date] = field(default_factory=set)
    duplicate_rows: set[int] = field(default_factory=set)
    """The rows of the batch's `runs` that are duplicates."""


@dataclass(slots=True)
class _Verdict:
    """What storing must know of one run."""

    stored_at: datetime
    supersedes: str
    """The copy it replaces, if any; part of the batch's name, so that storing A, B and A again
    leaves three copies and not a file that is there already."""
    other_days: set[date]


def append(files: Files, index: Index, runs: pa.Table, issues: pa.Table) -> Appended:
    """Store `runs` and `issues` as `assets.kernel.Chunk` describes them; durable on return.

    Of several rows with one run id the last counts, as if they had been stored one by one.
    Raises `StorageError`; whatever was published by then is either whole or invisible.
    """
    run_ids = runs["validation_run_id"].to_pylist()
    listing, known = layout.relisting(lambda: _look_up(files, index, run_ids))
    deletions = read_deletions(files, run_ids)
    verdicts, result = _judge(runs, known, deletions)
    if not verdicts:
        return result
    rows = pa.array(verdicts, pa.int64())
    batch_id = layout.content_name(
        f"{run_id}\x1f{content_hash}\x1f{verdicts[row].supersedes}"
        for row, run_id, content_hash in zip(
            verdicts,
            runs["validation_run_id"].take(rows).to_pylist(),
            runs["content_hash"].take(rows).to_pylist(),
            strict=True,
        )
    )
    by_day = _partition(runs, issues, verdicts, batch_id)
    result.days = set(by_day)
    result.issues_stored = sum(len(part.rows) for part in by_day.values())
    _publish(files, batch_id, by_day, _hints(runs, verdicts))
    _look_again(files, index, batch_id, by_day, listing)
    return result


def _look_up(
    files: Files, index: Index, run_ids: list[str]
) -> tuple[list[layout.DataFile], dict[str, list[Copy]]]:
    """The files that the lake has, and the copies of `run_ids` in them."""
    listing = layout.data_files(files)
    return listing, index.copies(run_ids, listing)


def _judge(
    runs: pa.Table, known: dict[str, list[Copy]], deletions: dict[str, datetime]
) -> tuple[dict[int, _Verdict], Appended]:
    """Which rows of `runs` are to be stored, and how; the others are duplicates."""
    now = datetime.now(UTC)
    result = Appended()
    in_batch: dict[str, tuple[int, str]] = {}
    verdicts: dict[int, _Verdict] = {}
    replaced = 0
    new = _Verdict(now, "", set())
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
        verdicts[row] = _Verdict(
            max(now, floor + _TICK) if floor else now,
            f"{floor}{latest.batch_id if latest else ''}" if floor else "",
            {copy.day for copy in copies},
        )
    result.runs_stored = len(verdicts) + replaced
    return verdicts, result


@dataclass(slots=True)
class _Day:
    """What a batch holds of one day: `runs` as its file has them, and its issues, still to be laid out.

    `rows` are the day's rows of `batch_issues` in the order of its file, `places` the row of
    `runs` that each belongs to.
    """

    runs: pa.Table
    batch_issues: pa.Table
    rows: pa.Array
    places: pa.Array

    def issues(self) -> pa.Table:
        """The day's issues as their file has them; texts that stand for the run come as dictionaries."""
        issues = self.batch_issues.take(self.rows)
        for name in ("validation_run_id", "target_plugin", "batch_id"):
            texts = self.runs[name].combine_chunks().dictionary_encode()
            codes = texts.indices.take(self.places)
            column = pa.DictionaryArray.from_arrays(codes, texts.dictionary)
            issues = issues.append_column(name, column)
        issues = issues.append_column("timestamp", self.runs["timestamp"].take(self.places))
        return issues.select([column.name for column in ISSUES])


def _partition(
    runs: pa.Table, issues: pa.Table, verdicts: dict[int, _Verdict], batch_id: str
) -> dict[date, _Day]:
    """The rows to store by day, each table in the order that its file has.

    Runs: plugin, timestamp, id. Issues: plugin, severity (worst first), then as the runs.
    """
    rows = pa.array(sorted(verdicts), pa.int64())
    kept = runs.take(rows) if len(rows) < runs.num_rows else runs
    kept = kept.append_column("row", rows)
    kept = kept.append_column("run_date", kept["timestamp"].cast(pa.timestamp("us")).cast(pa.date32()))
    stored_at = pa.array([verdicts[r].stored_at for r in rows.to_pylist()], pa.timestamp("us", "UTC"))
    kept = kept.append_column("stored_at", stored_at)
    kept = kept.append_column("batch_id", pa.repeat(batch_id, len(rows)))
    order = [(c, "ascending") for c in ("run_date", "target_plugin", "timestamp", "validation_run_id")]
    kept = kept.sort_by(order).combine_chunks()
    issue_rows, places = _in_file_order(kept, issues, runs.num_rows)
    coded = _with_dictionaries(issues)
    run_schema = arrow_schema(RUNS)
    by_day = {}
    first = 0
    for start, end in pairwise(_bounds(kept["run_date"])):
        of_day = kept.slice(start, end - start)
        last = first + _issue_count(of_day)
        by_day[of_day["run_date"][0].as_py()] = _Day(
            of_day.select(run_schema.names).cast(run_schema),
            coded,
            issue_rows.slice(first, last - first),
            pc.subtract(places.slice(first, last - first), start),
        )
        first = last
    return by_day


def _in_file_order(kept: pa.Table, issues: pa.Table, run_count: int) -> tuple[pa.Array, pa.Array]:
    """The rows of `issues` that belong to `kept`, day by day as the files have them, and for each
    the row of its run in `kept`."""
    position = pa.array(_inverse(kept["row"].to_pylist(), run_count), pa.int64())
    place = position.take(issues["run_index"].combine_chunks())
    groups = _group_numbers(kept).take(place)
    severity = pc.index_in(issues["severity"], pa.array(SEVERITIES)).combine_chunks().cast(pa.int64())
    # One integer that sorts as (day and plugin, severity, run) does; rows of a run keep their order.
    key = pc.add(pc.shift_left(groups, 40), pc.add(pc.shift_left(severity, 36), place))
    order = pc.sort_indices(key).slice(0, len(key) - key.null_count)
    return order, place.take(order)


def _issue_count(runs: pa.Table) -> int:
    return sum(pc.sum(runs[name]).as_py() for name in SEVERITY_COUNTS)


def _with_dictionaries(issues: pa.Table) -> pa.Table:
    """The issues in one piece, texts that come again and again as dictionaries: rows are then
    numbers, which are quick to move."""
    columns = {name: issues[name].combine_chunks() for name in issues.column_names if name != "run_index"}
    for name in columns:
        if repeats(columns[name]):
            columns[name] = columns[name].dictionary_encode()
    return pa.table(columns)


def _bounds(column: pa.ChunkedArray) -> list[int]:
    """Where each run of equal values of a sorted column begins, and its end."""
    ends = pc.run_end_encode(column.combine_chunks()).run_ends.to_pylist()
    return [0, *ends]


def _group_numbers(kept: pa.Table) -> pa.Array:
    """A number for each row, equal where day and plugin are equal, growing."""
    days, plugins = kept["run_date"].combine_chunks(), kept["target_plugin"].combine_chunks()
    changes = pc.or_(
        pc.not_equal(days.slice(1), days.slice(0, len(days) - 1)),
        pc.not_equal(plugins.slice(1), plugins.slice(0, len(plugins) - 1)),
    )
    return pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(changes.cast(pa.int64()))])


def _inverse(rows: list[int], size: int) -> list[int | None]:
    """For each row of the batch its place among the kept and sorted ones, or None."""
    places: list[int | None] = [None] * size
    for place, row in enumerate(rows):
        places[row] = place
    return places


def _hints(runs: pa.Table, verdicts: dict[int, _Verdict]) -> list[Hint]:
    """The days that must learn of a newer copy on another one."""
    hints = []
    for row, verdict in verdicts.items():
        if verdict.other_days:
            day = runs["timestamp"][row].as_py().date()
            run_id = runs["validation_run_id"][row].as_py()
            hints += [Hint(run_id, other, day) for other in verdict.other_days if other != day]
    return hints


def _publish(files: Files, batch_id: str, by_day: dict[date, _Day], hints: list[Hint]) -> None:
    def issues_file(day: date) -> None:
        data = encode(by_day[day].issues())
        files.publish(layout.data_path(layout.ISSUES, day, batch_id), data, renew=True)

    def runs_file(day: date) -> None:
        files.publish(layout.data_path(layout.RUNS, day, batch_id), encode(by_day[day].runs))

    _for_each_day(issues_file, by_day)
    write_hints(files, hints)
    _for_each_day(runs_file, by_day)


def _for_each_day(publish: Callable[[date], None], days: Iterable[date]) -> None:
    days = list(days)
    if len(days) == 1:
        publish(days[0])
        return
    with ThreadPoolExecutor(PUBLISHERS) as pool:
        list(pool.map(publish, days))


def _look_again(
    files: Files,
    index: Index,
    batch_id: str,
    by_day: dict[date, _Day],
    before: list[layout.DataFile],
) -> None:
    """Leave hints for copies that others published meanwhile; make sure that the issues are there."""
    for day, part in by_day.items():
        path = layout.data_path(layout.ISSUES, day, batch_id)
        if not any(e.path == path for e in files.list_many([layout.day_folder(layout.ISSUES, day)])):
            files.publish(path, encode(part.issues()), renew=True)
    seen = {(f.day, f.name) for f in before}
    own = {(day, batch_id) for day in by_day}
    ids = pa.concat_arrays([p.runs["validation_run_id"].combine_chunks() for p in by_day.values()])

    def published_since() -> dict[str, list[Copy]]:
        listing = layout.data_files(files)
        since = [f for f in listing if (f.day, f.name) not in seen | own]
        return index.copies_in(since, ids) if since else {}

    others = layout.relisting(published_since)
    if not others:
        return
    hints = []
    for day, part in by_day.items():
        for run_id, stored_at in zip(
            part.runs["validation_run_id"].to_pylist(), part.runs["stored_at"].to_pylist(), strict=True
        ):
            for other in others.get(run_id, ()):
                newer = (other.stored_at, other.batch_id) > (stored_at, batch_id)
                loser, winner = (day, other.day) if newer else (other.day, day)
                if loser != winner:
                    hints.append(Hint(run_id, loser, winner))
    write_hints(files, hints)
