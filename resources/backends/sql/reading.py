"""The tables of a database as DuckDB has them: copied batch by batch, only the rows that may matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import sqlalchemy as sa

from resources import schema
from resources.backend import COUNTED, ISSUES, Newest
from resources.backends.sql.dialect import ROWS_AT_ONCE, Dialect
from resources.backends.sql.selecting import Asked, Statements, Wanted, columns, narrowed, run_key
from resources.backends.sql.tables import RUN_KEY
from resources.deadline import heard
from resources.lake.index import Copy
from resources.lake.read import duckdb_type

if TYPE_CHECKING:
    import duckdb

_INCOMING = "incoming"
AT_ONCE = 5_000
"""So many issues at most are handed on as they are: few enough to be had in memory as Python has them."""
IDS_AT_ONCE = 1_000


def copy(
    source: sa.Connection,
    target: duckdb.DuckDBPyConnection,
    statements: Statements,
    dialect: Dialect,
    names: Sequence[str],
    wanted: Wanted,
) -> None:
    """Make the temporary relations `names` in `target`."""
    if COUNTED in names:
        total, filtered, wanted = _counted(source, statements, dialect, wanted)
        target.execute(
            f"CREATE OR REPLACE TEMP VIEW {COUNTED} AS"
            f" SELECT {total}::BIGINT AS total, {filtered}::BIGINT AS filtered"
        )
    elif wanted.pushdown.newest:
        wanted = narrowed(wanted, dialect, source.scalar(*statements.oldest(wanted)))
    for name in names:
        if name != COUNTED:
            _copy_rows(source, target, name, statements.rows(name, wanted), dialect, wanted)


def newest(source: sa.Connection, statements: Statements, dialect: Dialect, wanted: Wanted) -> Newest | None:
    """See `resources.backend.Backend.newest`."""
    limit = wanted.pushdown.limit
    if limit is None or limit > AT_ONCE:
        return None
    total, filtered, wanted = _counted(source, statements, dialect, wanted)
    asked = columns(ISSUES, wanted)
    with source.execute(*statements.rows(ISSUES, wanted)) as found:
        rows = found.fetchmany(AT_ONCE + 1)
    if len(rows) > AT_ONCE:
        return None
    kinds = schema.arrow_schema(tuple(asked)).types
    read = [dialect.values(list(v), kind) for v, kind in zip(zip(*rows, strict=True), kinds, strict=False)]
    names = [c.name for c in asked]
    return Newest(total, filtered, [dict(zip(names, row, strict=True)) for row in zip(*read, strict=True)])


def _counted(
    source: sa.Connection, statements: Statements, dialect: Dialect, wanted: Wanted
) -> tuple[int, int, Wanted]:
    """`total` and `filtered` of `COUNTED`, and what is wanted but for what the limit leaves out."""
    row = source.execute(*statements.counted(wanted)).one()
    return int(row.total), int(row.filtered), narrowed(wanted, dialect, row.oldest)


def _copy_rows(
    source: sa.Connection,
    target: duckdb.DuckDBPyConnection,
    name: str,
    query: Asked,
    dialect: Dialect,
    wanted: Wanted,
) -> None:
    asked = columns(name, wanted)
    kinds = schema.arrow_schema(tuple(asked)).types
    typed = ", ".join(f'"{c.name}"::{duckdb_type(c)} AS "{c.name}"' for c in asked)
    # A table of that name has been left by an attempt that did not get through.
    into = f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT {typed} FROM {_INCOMING}"
    with source.execution_options(stream_results=True, max_row_buffer=ROWS_AT_ONCE).execute(*query) as rows:
        more = True
        while more:
            part = rows.fetchmany(ROWS_AT_ONCE)
            more = len(part) == ROWS_AT_ONCE
            values = zip(*part, strict=True) if part else [()] * len(asked)
            arrays = [dialect.column(list(v), kind) for v, kind in zip(values, kinds, strict=True)]
            target.register(_INCOMING, pa.table(arrays, [c.name for c in asked]))
            target.execute(into)
            target.unregister(_INCOMING)
            into = f"INSERT INTO {name} FROM {_INCOMING}"
            heard()


def copies(
    connection: sa.Connection, runs: sa.Table, dialect: Dialect, ids: list[str]
) -> dict[str, list[Copy]]:
    """The stored copy of each of `ids` that there is, held until the transaction ends."""
    of_key = {run_key(run_id): run_id for run_id in ids}
    keys = sorted(of_key)
    found = {}
    moment = schema.arrow_schema((_named("stored_at"),)).types[0]
    for start in range(0, len(keys), IDS_AT_ONCE):
        query = (
            sa.select(
                runs.c[RUN_KEY], runs.c.stored_at, runs.c.batch_id, runs.c.content_hash, runs.c.run_date
            )
            .where(runs.c[RUN_KEY].in_(keys[start : start + IDS_AT_ONCE]))
            .order_by(runs.c[RUN_KEY])
            .with_for_update()
        )
        for key, stored_at, batch_id, content_hash, day in connection.execute(query):
            at = dialect.column([stored_at], moment)[0].as_py()
            of_day = dialect.column([day], pa.date32())[0].as_py()
            found[of_key[key]] = [Copy(at, batch_id, content_hash, of_day)]
    return found


def _named(name: str) -> schema.Column:
    return next(column for column in schema.RUNS if column.name == name)
