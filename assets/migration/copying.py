"""Copying the runs that a target lacks, in chunks that fit into memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.backend import Backend
from resources.lake.verdict import Appended
from resources.schema import ISSUES, RUNS, arrow_schema
from resources.session import sql

if TYPE_CHECKING:
    import duckdb

CHUNK_RUNS = 2_000
CHUNK_ISSUES = 50_000
CHUNK_BYTES = 32 * 1024 * 1024
"""What the runs of a chunk have together; a single run may have more."""

_ISSUE_TYPES = {f.name: f.type for f in arrow_schema(ISSUES)} | {"run_index": pa.int32()}
_RUN_TYPES = {f.name: f.type for f in arrow_schema(RUNS)}


def copy(
    connection: duckdb.DuckDBPyConnection,
    target: Backend,
    rows: pa.Table,
    span: tuple[date, date],
    on_chunk: Callable[[Appended, int, int], None],
) -> None:
    """Append `rows` (as `comparing.held` answers) of the views of `connection` to `target`.

    `on_chunk` is called with what became of each chunk, and how many runs and issues it has.
    """
    wanted, sizes = _chunks(rows)
    connection.register("incoming", wanted)
    connection.execute("CREATE TEMP TABLE wanted AS FROM incoming")
    connection.unregister("incoming")
    connection.execute(sql("assets", "copied_issues"), span)
    for chunk, (run_count, issue_count) in enumerate(sizes):
        runs = _table(connection, sql("assets", "copied_runs"), [*span, chunk], _RUN_TYPES)
        query = "SELECT * EXCLUDE (chunk) FROM copied_issues WHERE chunk = $1 ORDER BY run_index, issue_index"
        appended = target.append(runs, _table(connection, query, [chunk], _ISSUE_TYPES))
        on_chunk(appended, run_count, issue_count)


def _table(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: list[object], types: dict[str, pa.DataType]
) -> pa.Table:
    rows = connection.sql(query, params=parameters).to_arrow_table()
    return pa.table({name: rows[name].cast(types[name]) for name in rows.column_names})


def _chunks(rows: pa.Table) -> tuple[pa.Table, list[tuple[int, int]]]:
    """For each of `rows` its chunk and its place in it; how many runs and issues each chunk has."""
    chunks, places = [], []
    sizes: list[tuple[int, int]] = []
    runs = issues = size = 0
    for count, volume in zip(rows["issues"].to_pylist(), rows["bytes"].to_pylist(), strict=True):
        full = runs == CHUNK_RUNS or issues + count > CHUNK_ISSUES or size + volume > CHUNK_BYTES
        if runs and full:
            sizes.append((runs, issues))
            runs = issues = size = 0
        chunks.append(len(sizes))
        places.append(runs)
        runs, issues, size = runs + 1, issues + count, size + volume
    sizes.append((runs, issues))
    columns = {
        "validation_run_id": rows["validation_run_id"],
        "chunk": pa.array(chunks, pa.int32()),
        "place": pa.array(places, pa.int32()),
    }
    return pa.table(columns), sizes
