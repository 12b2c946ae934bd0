"""The tables of a database as DuckDB has them: copied batch by batch, only the rows that may matter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa

from resources import schema
from resources.backend import ISSUES, RUNS, Pushdown
from resources.backends.sql.dialect import ROWS_AT_ONCE, Dialect
from resources.backends.sql.tables import INDEXED_CHARACTERS, RUN_KEY, Tables, indexed
from resources.deadline import heard
from resources.lake.index import Copy
from resources.lake.layout import content_name
from resources.lake.read import duckdb_type

if TYPE_CHECKING:
    import duckdb

_COLUMNS = {RUNS: (*schema.RUNS, schema.RUN_DATE), ISSUES: (*schema.ISSUES, schema.RUN_DATE)}
_INCOMING = "incoming"
IDS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows are asked for."""

    first: date | None = None
    last: date | None = None
    pushdown: Pushdown | None = None


def run_key(run_id: str) -> str:
    """What stands for a run id in the tables' keys (32 hex digits)."""
    return content_name([run_id])


def statement(tables: Tables, dialect: Dialect, table: str, wanted: Wanted) -> sa.Select[Any]:
    """The rows of `table` that are asked for, and perhaps some more."""
    of = tables.runs if table == RUNS else tables.issues
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.first is not None:
        conditions.append(of.c.run_date >= dialect.day(wanted.first))
    if wanted.last is not None:
        conditions.append(of.c.run_date <= dialect.day(wanted.last))
    if wanted.pushdown is not None:
        conditions += _pushed(of, dialect, wanted.pushdown)
        if table == ISSUES:
            conditions += _pushed_to_issues(of, dialect, wanted.pushdown)
    return sa.select(*(of.c[c.name] for c in _COLUMNS[table])).where(*conditions)


def _pushed(of: sa.Table, dialect: Dialect, pushdown: Pushdown) -> Iterator[sa.ColumnElement[bool]]:
    if pushdown.plugin is not None:
        plugin = dialect.text(pushdown.plugin)
        column = indexed(of.c.target_plugin, dialect.name)
        if column is not of.c.target_plugin:
            yield column == plugin[:INDEXED_CHARACTERS]
        yield of.c.target_plugin == plugin
    if pushdown.run_id is not None:
        yield of.c[RUN_KEY] == run_key(pushdown.run_id)
    if pushdown.run_ids is not None:
        yield of.c[RUN_KEY].in_([run_key(run_id) for run_id in pushdown.run_ids])
    if pushdown.since is not None:
        yield of.c.timestamp >= dialect.moment(pushdown.since)
    if pushdown.until is not None:
        yield of.c.timestamp <= dialect.moment(pushdown.until)


def _pushed_to_issues(
    issues: sa.Table, dialect: Dialect, pushdown: Pushdown
) -> Iterator[sa.ColumnElement[bool]]:
    if pushdown.severities is not None:
        yield issues.c.severity.in_(pushdown.severities)
    if pushdown.categories is not None:
        yield issues.c.category.in_([dialect.text(category) for category in pushdown.categories])
    if pushdown.fingerprint is not None:
        yield issues.c.fingerprint == dialect.text(pushdown.fingerprint)


def copy(
    source: sa.Connection,
    target: duckdb.DuckDBPyConnection,
    tables: Tables,
    dialect: Dialect,
    names: Sequence[str],
    wanted: Wanted,
) -> None:
    """Make the temporary tables `names` in `target`, and fill them."""
    for name in names:
        columns = _COLUMNS[name]
        # Left by an attempt that did not get through.
        target.execute(f"DROP TABLE IF EXISTS temp.{name}")
        defined = ", ".join(f'"{c.name}" {duckdb_type(c)}' for c in columns)
        target.execute(f"CREATE TEMP TABLE {name} ({defined})")
        kinds = schema.arrow_schema(columns).types
        rows = source.execution_options(stream_results=True, max_row_buffer=ROWS_AT_ONCE).execute(
            statement(tables, dialect, name, wanted)
        )
        for part in rows.partitions(ROWS_AT_ONCE):
            values = [
                dialect.column(list(column), kind)
                for column, kind in zip(zip(*part, strict=True), kinds, strict=True)
            ]
            target.register(_INCOMING, pa.table(values, [c.name for c in columns]))
            target.execute(f"INSERT INTO {name} FROM {_INCOMING}")
            target.unregister(_INCOMING)
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
