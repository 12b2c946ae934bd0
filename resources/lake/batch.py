"""One batch on its way into the lake: its runs day by day, and the making of its issues files."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from resources.encryption import Key
from resources.lake.marks import Hint
from resources.lake.parquet import encode
from resources.schema import ISSUES, SEVERITIES, SEVERITY_COUNTS

LAID_OUT_AT_ONCE = 2
"""Days whose files are made side by side: what takes long lets go of the interpreter."""


@dataclass(slots=True)
class Batch:
    """What is to be stored of the runs of one `assets.kernel.Chunk`.

    The issues are not in it: whoever has them, this process or another, lays them out.
    """

    batch_id: str
    runs: pa.Table
    """The rows of the runs files, sorted by day, plugin, timestamp and id."""
    rows: pa.Array
    """For each the row (int64) that it has in the chunk."""
    days: dict[date, tuple[int, int]]
    """Where in `runs` each day begins and ends."""
    run_count: int
    """The runs of the chunk, stored or not."""
    hints: list[Hint]
    key: Key | None
    """What its files are encrypted with."""

    def runs_of(self, day: date) -> pa.Table:
        start, end = self.days[day]
        return self.runs.slice(start, end - start)

    def issue_count(self) -> int:
        return int(pc.sum(self._issue_counts()).as_py())

    def lay_out(self, issues: pa.Table) -> Iterator[tuple[date, bytes]]:
        """Every day with its issues file, as they are made; `issues` are those of the chunk.

        Sorted by plugin, severity (worst first), then as the runs.
        """
        coded = _with_dictionaries(issues)
        order, places = self._in_file_order(issues["run_index"], coded["severity"])
        ends = pc.cumulative_sum(self._issue_counts())
        spans = []
        first = 0
        for day, (_, end) in self.days.items():
            last = ends[end - 1].as_py()
            spans.append((day, first, last))
            first = last

        def file(span: tuple[date, int, int]) -> tuple[date, bytes]:
            day, start, end = span
            rows, of_runs = order.slice(start, end - start), places.slice(start, end - start)
            return day, encode(self._day(day, coded.take(rows), of_runs), key=self.key)

        with ThreadPoolExecutor(LAID_OUT_AT_ONCE) as pool:
            yield from pool.map(file, spans)

    def _day(self, day: date, issues: pa.Table, places: pa.Array) -> pa.Table:
        """A day's issues with what stands for their runs, the rows `places` of `runs`."""
        runs, of_day = self.runs_of(day), pc.subtract(places, self.days[day][0])
        for name in ("validation_run_id", "target_plugin", "batch_id"):
            texts = runs[name].combine_chunks().dictionary_encode()
            column = pa.DictionaryArray.from_arrays(texts.indices.take(of_day), texts.dictionary)
            issues = issues.append_column(name, column)
        issues = issues.append_column("timestamp", runs["timestamp"].take(of_day))
        return issues.select([column.name for column in ISSUES])

    def _in_file_order(
        self, run_index: pa.ChunkedArray, severity: pa.ChunkedArray
    ) -> tuple[pa.Array, pa.Array]:
        """The issues to store as the files have them, day after day; for each the row in `runs`."""
        position = pc.inverse_permutation(self.rows, max_index=self.run_count - 1)
        place = position.take(run_index.combine_chunks())
        group = self._groups().take(place)
        rank = pc.index_in(severity.combine_chunks(), pa.array(SEVERITIES)).cast(pa.int64())
        # One integer that sorts as (day and plugin, severity, run) does; rows of a run keep their order.
        key = pc.add(pc.shift_left(group, 40), pc.add(pc.shift_left(rank, 36), place))
        order = pc.sort_indices(key).slice(0, len(key) - key.null_count)
        return order, place.take(order)

    def _groups(self) -> pa.Array:
        """A number for each run, equal where day and plugin are equal, growing."""
        plugins = self.runs["target_plugin"].combine_chunks()
        starts = {start for start, _ in self.days.values()}
        changes = pc.not_equal(plugins.slice(1), plugins.slice(0, len(plugins) - 1))
        first_of_day = pa.array([row in starts for row in range(1, len(plugins))], pa.bool_())
        steps = pc.or_(changes, first_of_day).cast(pa.int64())
        return pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(steps)])

    def _issue_counts(self) -> pa.ChunkedArray:
        """How many issues each run has."""
        return reduce(pc.add, (self.runs[name] for name in SEVERITY_COUNTS))


def _with_dictionaries(issues: pa.Table) -> pa.Table:
    """The issues, in one piece, texts as dictionaries: rows are then numbers, which are quick to move."""
    columns = {name: issues[name].combine_chunks() for name in issues.column_names if name != "run_index"}
    return pa.table(
        {
            name: column.dictionary_encode() if pa.types.is_string(column.type) else column
            for name, column in columns.items()
        }
    )
