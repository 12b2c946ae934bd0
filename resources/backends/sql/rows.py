"""A batch as the rows of the two tables."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from resources.backends.sql.selecting import run_key
from resources.backends.sql.tables import RUN_KEY
from resources.lake.batch import Batch
from resources.schema import ISSUES, RUN_DATE, RUNS


def runs_rows(batch: Batch) -> pa.Table:
    """The runs to store."""
    runs = _keyed(batch)
    return runs.select([RUN_KEY, *(c.name for c in (*RUNS, RUN_DATE))])


def issues_rows(batch: Batch, issues: pa.Table) -> pa.Table:
    """The issues of the runs to store; `issues` are those of the chunk."""
    runs = _keyed(batch)
    position = pc.inverse_permutation(batch.rows, max_index=batch.run_count - 1)
    place = position.take(issues["run_index"].combine_chunks())
    kept = pc.is_valid(place)
    place, issues = place.filter(kept), issues.filter(kept)
    columns = {name: issues[name] for name in issues.column_names}
    columns |= {
        name: runs[name].take(place)
        for name in (RUN_KEY, "validation_run_id", "timestamp", "target_plugin", "batch_id", RUN_DATE.name)
    }
    texts = {
        name: column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        for name, column in columns.items()
    }
    return pa.table({name: texts[name] for name in (RUN_KEY, *(c.name for c in (*ISSUES, RUN_DATE)))})


def _keyed(batch: Batch) -> pa.Table:
    days = pa.array([day for day, (start, end) in batch.days.items() for _ in range(start, end)], pa.date32())
    keys = pa.array(map(run_key, batch.runs["validation_run_id"].to_pylist()), pa.string())
    return batch.runs.append_column(RUN_DATE.name, days).append_column(RUN_KEY, keys)
