"""What is asked of a database: rows, columns, how many; each condition one that an index can answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from functools import reduce
from operator import add
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from resources import schema
from resources.backend import ISSUES, RUNS, Pushdown
from resources.backends.sql.dialect import Dialect
from resources.backends.sql.tables import INDEXED_CHARACTERS, RUN_KEY, Tables, indexed
from resources.lake.layout import content_name
from resources.schema import SEVERITY_COUNTS

_COLUMNS = {RUNS: (*schema.RUNS, schema.RUN_DATE), ISSUES: (*schema.ISSUES, schema.RUN_DATE)}
_MOMENT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows are asked for."""

    first: date | None = None
    last: date | None = None
    pushdown: Pushdown = field(default_factory=Pushdown)


def run_key(run_id: str) -> str:
    """What stands for a run id in the tables' keys (32 hex digits)."""
    return content_name([run_id])


def columns(table: str, wanted: Wanted) -> list[schema.Column]:
    """The columns of `table` that are asked for, at least one."""
    every = _COLUMNS[table]
    named = wanted.pushdown.columns
    return [c for c in every if named is None or c.name in named] or [every[0]]


def statement(tables: Tables, dialect: Dialect, table: str, wanted: Wanted) -> sa.Select[Any]:
    """The rows of `table` that are asked for, and perhaps some more."""
    of = tables.runs if table == RUNS else tables.issues
    conditions = _of_runs(of, dialect, wanted)
    if table == ISSUES:
        conditions += _of_issues(of, dialect, wanted.pushdown)
    return sa.select(*(of.c[c.name] for c in columns(table, wanted))).where(*conditions)


def counted(tables: Tables, dialect: Dialect, wanted: Wanted) -> sa.Select[Any]:
    """`total` and `filtered` of `resources.backend.COUNTED`, and what `oldest` answers."""
    runs, issues = tables.runs, tables.issues
    of_runs = reduce(add, (runs.c[name] for name in SEVERITY_COUNTS))
    total = sa.select(sa.func.coalesce(sa.func.sum(of_runs), 0)).where(*_of_runs(runs, dialect, wanted))
    filtered = total
    conditions = _of_issues(issues, dialect, wanted.pushdown)
    if conditions:
        conditions += _of_runs(issues, dialect, wanted)
        filtered = sa.select(sa.func.count()).select_from(issues).where(*conditions)
    moment = oldest(tables, dialect, wanted)
    return sa.select(total.scalar_subquery(), filtered.scalar_subquery(), moment.scalar_subquery())


def oldest(tables: Tables, dialect: Dialect, wanted: Wanted) -> sa.Select[Any]:
    """The moment of the newest run or, with a `limit`, of the last issue that it lets through."""
    pushdown = wanted.pushdown
    if pushdown.limit is None:
        of, number, conditions = tables.runs, 1, _of_runs(tables.runs, dialect, wanted)
    else:
        of, number = tables.issues, pushdown.limit
        conditions = _of_runs(of, dialect, wanted) + _of_issues(of, dialect, pushdown)
    # In the order of an index: that of a plugin, or that of all.
    order = [of.c.timestamp] if pushdown.plugin is not None else [of.c.run_date, of.c.timestamp]
    ordered = sa.select(of.c.timestamp).where(*conditions).order_by(*(column.desc() for column in order))
    return ordered.limit(1).offset(number - 1)


def narrowed(wanted: Wanted, dialect: Dialect, found: Any) -> Wanted:
    """`wanted`, without what is older than the moment that `oldest` has found, if there is one.

    Asked for first and for itself, so that the database plans what follows knowing the moment.
    """
    if found is None:
        return wanted
    moment = dialect.column([found], _MOMENT)[0].as_py()
    pushdown = replace(wanted.pushdown, since=moment)
    return replace(wanted, first=moment.date(), pushdown=pushdown)


def _of_runs(of: sa.Table, dialect: Dialect, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    return list(_conditions_of_runs(of, dialect, wanted))


def _conditions_of_runs(of: sa.Table, dialect: Dialect, wanted: Wanted) -> Iterator[sa.ColumnElement[bool]]:
    pushdown = wanted.pushdown
    if wanted.first is not None:
        yield of.c.run_date >= dialect.day(wanted.first)
    if wanted.last is not None:
        yield of.c.run_date <= dialect.day(wanted.last)
    if pushdown.plugin is not None:
        plugin = dialect.text(pushdown.plugin)
        column = indexed(of.c.target_plugin, dialect.name)
        if column is not of.c.target_plugin:
            yield column == plugin[:INDEXED_CHARACTERS]
        yield dialect.one_of(of.c.target_plugin, [plugin])
    if pushdown.run_id is not None:
        yield of.c[RUN_KEY] == run_key(pushdown.run_id)
    if pushdown.run_ids is not None:
        yield of.c[RUN_KEY].in_([run_key(run_id) for run_id in pushdown.run_ids])
    if pushdown.since is not None:
        yield of.c.timestamp >= dialect.moment(pushdown.since)
    if pushdown.until is not None:
        yield of.c.timestamp <= dialect.moment(pushdown.until)


def _of_issues(issues: sa.Table, dialect: Dialect, pushdown: Pushdown) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if pushdown.severities is not None:
        conditions.append(issues.c.severity.in_(pushdown.severities))
    if pushdown.categories is not None:
        categories = [dialect.text(category) for category in pushdown.categories]
        conditions.append(dialect.one_of(issues.c.category, categories))
    if pushdown.fingerprint is not None:
        conditions.append(dialect.one_of(issues.c.fingerprint, [dialect.text(pushdown.fingerprint)]))
    return conditions
