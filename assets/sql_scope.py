"""How much of a database one SELECT looks at, so that not all of it is copied for a question about little.

What is not certain is taken for everything: a name counts wherever it stands, a star means every
column, and conditions count only in a statement that reads one table once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

import sqlglot
from sqlglot import expressions as exp
from sqlglot.errors import SqlglotError

from resources.backend import BOTH, ISSUES, RUNS, Pushdown
from resources.schema import ISSUES as ISSUE_COLUMNS
from resources.schema import RUN_DATE, SEVERITY_COUNTS
from resources.schema import RUNS as RUN_COLUMNS

DAILY_SUMMARY = "daily_summary"
_KNOWN = frozenset(c.name for c in (*RUN_COLUMNS, *ISSUE_COLUMNS, RUN_DATE))
_OF_SUMMARY = frozenset({"run_date", "target_plugin", "pipeline_score", "timestamp", *SEVERITY_COUNTS})
_WORD = re.compile(r"\w+")
_ANYTHING = re.compile(r"\b(columns|natural|information_schema|duckdb_\w+|query|query_table|pragma_\w+)\b")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a statement looks at; without arguments, everything."""

    first: date | None = None
    last: date | None = None
    tables: tuple[str, ...] = BOTH
    pushdown: Pushdown = Pushdown()  # noqa: RUF009  (frozen)
    summary: bool = True
    """Whether it names the daily summary."""


EVERYTHING = Scope()


def scope(query: str) -> Scope:
    """What `query`, of which nothing is known, looks at."""
    text = query.lower()
    tree = _parsed(query)
    if tree is None or _ANYTHING.search(text):
        return EVERYTHING
    words = frozenset(_WORD.findall(text))
    summary = DAILY_SUMMARY in words
    tables = tuple(t for t in BOTH if t in words or (summary and t == RUNS))
    columns = None if _names_all(tree) else (words & _KNOWN) | (_OF_SUMMARY if summary else frozenset())
    first, last, plugin = _conditions(tree)
    return Scope(first, last, tables, Pushdown(plugin=plugin, columns=columns), summary)


def _parsed(query: str) -> exp.Expr | None:
    try:
        trees = sqlglot.parse(query, dialect="duckdb")
    except (SqlglotError, RecursionError):
        return None
    tree = trees[0] if len(trees) == 1 else None
    return tree if isinstance(tree, exp.Select | exp.SetOperation) else None


def _names_all(tree: exp.Expr) -> bool:
    """Whether columns are meant that are not named: by a star, or by the name of a table."""
    if any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star)):
        return True
    if tree.find(exp.Pivot):
        return True
    tables = {name.lower() for t in tree.find_all(exp.Table, exp.Subquery, exp.CTE) for name in _called(t)}
    return any(column.name.lower() in tables for column in tree.find_all(exp.Column))


def _called(table: exp.Expr) -> tuple[str, str]:
    return table.name, table.alias


def _conditions(tree: exp.Expr) -> tuple[date | None, date | None, str | None]:
    """The days and the plugin that all rows have, where one table is read once."""
    tables = list(tree.find_all(exp.Table))
    if len(tables) != 1 or tables[0].name.lower() not in (RUNS, ISSUES, DAILY_SUMMARY):
        return None, None, None
    select = tables[0].find_ancestor(exp.Select)
    where = select.args.get("where") if select is not None else None
    if (
        where is None
        or select is None
        or select.args.get("joins")
        or list(tree.find_all(exp.Select)) != [select]
    ):
        return None, None, None
    first: date | None = None
    last: date | None = None
    plugin: str | None = None
    for condition in where.this.flatten() if isinstance(where.this, exp.And) else [where.this]:
        column, value = condition.this, condition.args.get("expression")
        name = column.name.lower() if isinstance(column, exp.Column) else ""
        if name == "target_plugin" and isinstance(condition, exp.EQ):
            if isinstance(value, exp.Literal) and value.is_string:
                plugin = value.this
        elif name == "run_date":
            low, high = _days(condition)
            first = max(filter(None, (first, low)), default=None)
            last = min(filter(None, (last, high)), default=None)
    return first, last, plugin


def _days(condition: exp.Expr) -> tuple[date | None, date | None]:
    """The first and the last day of a comparison with a day."""
    if isinstance(condition, exp.Between):
        return _day(condition.args["low"]), _day(condition.args["high"])
    day = _day(condition.args.get("expression"))
    if day is None:
        return None, None
    if isinstance(condition, exp.EQ):
        return day, day
    if isinstance(condition, exp.GT | exp.GTE):
        return day, None
    return (None, day) if isinstance(condition, exp.LT | exp.LTE) else (None, None)


def _day(value: exp.Expr | None) -> date | None:
    if isinstance(value, exp.Cast) and value.is_type("date"):
        value = value.this
    if not isinstance(value, exp.Literal) or not value.is_string:
        return None
    try:
        return date.fromisoformat(value.this)
    except ValueError:
        return None
