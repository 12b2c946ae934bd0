"""What is asked of a database: rows, columns, how many; each condition one that an index can answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date
from functools import lru_cache, reduce
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

Asked = tuple[sa.Select[Any], dict[str, Any]]
"""A statement, and the values of its parameters."""


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


def narrowed(wanted: Wanted, dialect: Dialect, found: Any) -> Wanted:
    """`wanted`, without what is older than the moment that `Statements.oldest` finds, if there is one.

    Asked for first and for itself, so that the database plans what follows knowing the moment.
    """
    if found is None:
        return wanted
    moment = dialect.column([found], _MOMENT)[0].as_py()
    pushdown = replace(wanted.pushdown, since=moment)
    return replace(wanted, first=moment.date(), pushdown=pushdown)


class Statements:
    """The questions to the tables of one database.

    A statement is made once for each set of conditions and then given its values, since making it
    takes longer than a server needs to answer it.
    """

    def __init__(self, tables: Tables, dialect: Dialect) -> None:
        self._tables = tables
        self._dialect = dialect
        plugin = tables.runs.c.target_plugin
        self._by_beginning = indexed(plugin, dialect.name) is not plugin
        self._rows = lru_cache(self._make_rows)
        self._counted = lru_cache(self._make_counted)
        self._oldest = lru_cache(self._make_oldest)

    def rows(self, table: str, wanted: Wanted) -> Asked:
        """The rows of `table` that are asked for, and perhaps some more."""
        values = self._values(wanted)
        names = tuple(column.name for column in columns(table, wanted))
        return self._rows(table, names, frozenset(values)), values

    def counted(self, wanted: Wanted) -> Asked:
        """`total` and `filtered` of `resources.backend.COUNTED`, and what `oldest` answers."""
        values = self._values(wanted)
        severities = wanted.pushdown.severities
        return self._counted(frozenset(values), severities and tuple(sorted(severities))), values

    def oldest(self, wanted: Wanted) -> Asked:
        """The moment of the newest run or, with a `limit`, of the last issue that it lets through."""
        values = self._values(wanted)
        return self._oldest(frozenset(values)), values

    def _make_rows(self, table: str, names: tuple[str, ...], given: frozenset[str]) -> sa.Select[Any]:
        of = self._tables.runs if table == RUNS else self._tables.issues
        conditions = self._of_runs(of, given)
        if table == ISSUES:
            conditions += self._of_issues(given)
        return sa.select(*(of.c[name] for name in names)).where(*conditions)

    def _make_counted(self, given: frozenset[str], severities: tuple[str, ...] | None) -> sa.Select[Any]:
        runs, issues = self._tables.runs, self._tables.issues
        # The runs know how many issues they have of each severity, and are few beside those.
        counts = {"total": SEVERITY_COUNTS, "filtered": _counts(severities)}
        sums = {
            label: sa.func.coalesce(sa.func.sum(reduce(add, (runs.c[c] for c in names), sa.literal(0))), 0)
            for label, names in counts.items()
        }
        of_runs = sa.select(*(total.label(label) for label, total in sums.items()))
        counted = of_runs.where(*self._of_runs(runs, given)).subquery()
        filtered: sa.ColumnElement[int] = counted.c.filtered
        if {"categories", "fingerprint"} & given:
            conditions = self._of_issues(given) + self._of_runs(issues, given)
            counting = sa.select(sa.func.count()).select_from(issues).where(*conditions)
            filtered = counting.scalar_subquery().label("filtered")
        moment = self._oldest(given).scalar_subquery()
        return sa.select(counted.c.total, filtered, moment.label("oldest"))

    def _make_oldest(self, given: frozenset[str]) -> sa.Select[Any]:
        of = self._tables.issues if "before_last" in given else self._tables.runs
        conditions = self._of_runs(of, given)
        skipped: Any = 0
        if of is self._tables.issues:
            conditions += self._of_issues(given)
            skipped = sa.bindparam("before_last", type_=sa.Integer)
        # In the order of an index: that of a plugin, or that of all.
        order = [of.c.timestamp] if "plugin_begins" in given else [of.c.run_date, of.c.timestamp]
        ordered = sa.select(of.c.timestamp).where(*conditions).order_by(*(column.desc() for column in order))
        return ordered.limit(1).offset(skipped)

    def _values(self, wanted: Wanted) -> dict[str, Any]:
        """Of every condition that is given, under the name of its parameter."""
        dialect, pushdown = self._dialect, wanted.pushdown
        plugin = None if pushdown.plugin is None else dialect.text(pushdown.plugin)
        begins = None if plugin is None else plugin[:INDEXED_CHARACTERS]
        categories = None if pushdown.categories is None else list(map(dialect.text, pushdown.categories))
        values = {
            "first": None if wanted.first is None else dialect.day(wanted.first),
            "last": None if wanted.last is None else dialect.day(wanted.last),
            "plugin": plugin,
            "plugin_begins": begins,
            "run_key": None if pushdown.run_id is None else run_key(pushdown.run_id),
            "run_keys": None if pushdown.run_ids is None else list(map(run_key, pushdown.run_ids)),
            "since": None if pushdown.since is None else dialect.moment(pushdown.since),
            "until": None if pushdown.until is None else dialect.moment(pushdown.until),
            "severities": None if pushdown.severities is None else list(pushdown.severities),
            "categories": categories,
            "categories_bytes": None if categories is None else [text.encode() for text in categories],
            "fingerprint": None if pushdown.fingerprint is None else dialect.text(pushdown.fingerprint),
            "before_last": None if pushdown.limit is None else pushdown.limit - 1,
        }
        if plugin is not None:
            # Conditions that say nothing new make a server expect fewer rows than there are, and so
            # look at all of them rather than at the first ones by the index.
            if wanted.first and pushdown.since and pushdown.since.astimezone(UTC).date() >= wanted.first:
                values["first"] = None
            if wanted.last and pushdown.until and pushdown.until.astimezone(UTC).date() <= wanted.last:
                values["last"] = None
            if self._by_beginning and len(plugin) < INDEXED_CHARACTERS:
                values["plugin"] = None
        return {name: value for name, value in values.items() if value is not None}

    def _of_runs(self, of: sa.Table, given: frozenset[str]) -> list[sa.ColumnElement[bool]]:
        return [condition for name, condition in self._conditions_of_runs(of) if name in given]

    def _conditions_of_runs(self, of: sa.Table) -> Iterator[tuple[str, sa.ColumnElement[bool]]]:
        yield "first", of.c.run_date >= sa.bindparam("first")
        yield "last", of.c.run_date <= sa.bindparam("last")
        if self._by_beginning:
            yield (
                "plugin_begins",
                indexed(of.c.target_plugin, self._dialect.name) == sa.bindparam("plugin_begins"),
            )
        yield "plugin", self._dialect.same(of.c.target_plugin, sa.bindparam("plugin", type_=sa.Text))
        yield "run_key", of.c[RUN_KEY] == sa.bindparam("run_key")
        yield "run_keys", of.c[RUN_KEY].in_(sa.bindparam("run_keys", expanding=True))
        yield "since", of.c.timestamp >= sa.bindparam("since")
        yield "until", of.c.timestamp <= sa.bindparam("until")

    def _of_issues(self, given: frozenset[str]) -> list[sa.ColumnElement[bool]]:
        column, same = self._tables.issues.c, self._dialect.same
        conditions = {
            "severities": column.severity.in_(sa.bindparam("severities", expanding=True)),
            "categories": self._dialect.one_of(column.category, "categories"),
            "fingerprint": same(column.fingerprint, sa.bindparam("fingerprint", type_=sa.Text)),
        }
        return [condition for name, condition in conditions.items() if name in given]


def _counts(severities: tuple[str, ...] | None) -> tuple[str, ...]:
    """The columns of a run that count its issues of these severities; None: of all."""
    return SEVERITY_COUNTS if severities is None else tuple(f"{s}_issues" for s in severities)
