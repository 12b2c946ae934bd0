"""`query.where`: a boolean expression over the columns of an issue, and nothing else.

The expression is parsed, and SQL is made of its tree node by node. What is not named below never
reaches the database, and neither does any text of the expression: values become parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import sqlglot
from sqlglot import expressions as exp
from sqlglot.errors import SqlglotError

from resources.errors import QueryError
from resources.schema import ISSUES, RUN_DATE, SEVERITIES

HELP = "columns, = <> < <= > >=, AND OR NOT, IN, LIKE, ILIKE, BETWEEN, IS NULL and parentheses"
MAX_LENGTH = 200_000
"""Characters; room for a list of 5,000 fingerprints, and read in seconds whatever it holds."""

_COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_LIKES: dict[type[exp.Expr], str] = {exp.Like: "LIKE", exp.ILike: "ILIKE"}
_TEXTS = ("string", "json")
_TYPES = {c.name: "severity" if c.name == "severity" else c.type for c in (*ISSUES, RUN_DATE)}
_CASTS = {"severity": "?::severity", "timestamp": "?::TIMESTAMPTZ", "date": "?::DATE"}


def compiled(expression: str) -> tuple[str, list[Any]]:
    """`expression` as SQL for DuckDB, and the values of its question marks. Raises `QueryError`."""
    if len(expression) > MAX_LENGTH:
        raise QueryError(f"where: has {len(expression)} characters, which is more than {MAX_LENGTH}.")
    compiler = _Compiler()
    try:
        return compiler.condition(_parsed(expression)), compiler.parameters
    except RecursionError:
        raise QueryError("where: is nested too deeply; take some parentheses out.") from None


def _parsed(expression: str) -> exp.Expr:
    try:
        trees = sqlglot.parse(f"SELECT 1 WHERE {expression}", dialect="duckdb")
    except SqlglotError as error:
        reason = str(error).splitlines()[0].partition(" Line ")[0]
        raise QueryError(f"where: cannot be read ({reason}); it may hold {HELP}.") from None
    tree = trees[0] if len(trees) == 1 else None
    where = tree.args.get("where") if isinstance(tree, exp.Select) else None
    if (
        tree is None
        or not isinstance(where, exp.Where)
        or not _has_only(tree, "where", "expressions", "kind")
    ):
        raise QueryError(f"where: may only hold one condition: {HELP}.")
    condition: exp.Expr = where.this
    return condition


class _Compiler:
    """Makes SQL of a tree, and collects the values in it."""

    def __init__(self) -> None:
        self.parameters: list[Any] = []

    def condition(self, node: exp.Expr) -> str:
        """SQL that is true, false or null."""
        if isinstance(node, exp.And | exp.Or):
            word = " AND " if isinstance(node, exp.And) else " OR "
            return f"({word.join(self.condition(part) for part in node.flatten())})"
        if isinstance(node, exp.Not):
            return f"(NOT {self.condition(node.this)})"
        if isinstance(node, exp.Paren):
            return self.condition(node.this)
        if isinstance(node, exp.Boolean):
            return "true" if node.this else "false"
        if type(node) in _COMPARISONS and _has_only(node, "this", "expression"):
            return self._comparison(node, _COMPARISONS[type(node)])
        if type(node) in _LIKES and _has_only(node, "this", "expression", "negate"):
            return self._like(node, _LIKES[type(node)])
        if isinstance(node, exp.In) and node.expressions and _has_only(node, "this", "expressions"):
            column = self._column(node.this)
            values = ", ".join(self._value(value, column) for value in node.expressions)
            return f"{column} IN ({values})"
        if isinstance(node, exp.Between) and _has_only(node, "this", "low", "high"):
            column = self._column(node.this)
            low, high = (self._value(node.args[bound], column) for bound in ("low", "high"))
            return f"({column} BETWEEN {low} AND {high})"
        if (
            isinstance(node, exp.Is)
            and isinstance(node.expression, exp.Null)
            and _has_only(node, "this", "expression")
        ):
            return f"({self._column(node.this)} IS NULL)"
        raise QueryError(f"where: {_shown(node)} is not a condition that is let through; it may hold {HELP}.")

    def _comparison(self, node: exp.Expr, operator: str) -> str:
        left, right = _bare(node.this), _bare(node.expression)
        if isinstance(left, exp.Column) and isinstance(right, exp.Column):
            columns = self._column(left), self._column(right)
            if len({_family(column) for column in columns}) > 1:
                raise QueryError(f"where: {_shown(node)} compares columns of two types.")
            return f"({columns[0]} {operator} {columns[1]})"
        if isinstance(left, exp.Column):
            column = self._column(left)
            return f"({column} {operator} {self._value(right, column)})"
        if isinstance(right, exp.Column):
            column = self._column(right)
            return f"({self._value(left, column)} {operator} {column})"
        if _constant(left) is not None and type(_constant(left)) is type(_constant(right)):
            self.parameters += [_constant(left), _constant(right)]
            return f"(? {operator} ?)"
        raise QueryError(f"where: {_shown(node)} does not compare a column with a value of its type.")

    def _like(self, node: exp.Expr, operator: str) -> str:
        negated = "NOT " if node.args.get("negate") else ""
        column = self._column(node.this)
        pattern = _constant(_bare(node.expression))
        if _family(column) not in ("string", "severity") or not isinstance(pattern, str):
            raise QueryError(f"where: {_shown(node)}: {operator} compares a column of texts with a text.")
        self.parameters.append(pattern)
        return f"({column}::VARCHAR {negated}{operator} ?)"

    def _column(self, node: exp.Expr) -> str:
        node = _bare(node)
        name = node.name.lower() if isinstance(node, exp.Column) and len(node.parts) == 1 else ""
        if name not in _TYPES:
            raise QueryError(
                f"where: {_shown(node)} stands where a column must; there are {', '.join(sorted(_TYPES))}."
            )
        return f'"{name}"'

    def _value(self, node: exp.Expr, column: str) -> str:
        """The place of a value that is compared with `column`."""
        node = _bare(node)
        if isinstance(node, exp.Null):
            return "NULL"
        name = column.strip('"')
        value = _constant(node)
        accepts, what = _VALUES[_family(column)]
        try:
            if value is None:
                raise ValueError
            self.parameters.append(accepts(value))
        except (ValueError, OverflowError):
            raise QueryError(
                f"where: {name} cannot be compared with {_shown(node)}: {what} is needed."
            ) from None
        return _CASTS.get(_TYPES[name], "?")


def _has_only(node: exp.Expr, *names: str) -> bool:
    """Whether nothing is said in `node` but what has these names."""
    return all(name in names for name, value in node.args.items() if value)


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _constant(node: exp.Expr) -> str | float | None:
    """The value of a literal; None where it is none."""
    if isinstance(node, exp.Neg):
        number = _constant(node.this)
        return None if number is None or isinstance(number, str) else -number
    if not isinstance(node, exp.Literal):
        return None
    if node.is_string:
        return str(node.this)
    number = float(node.this)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _family(column: str) -> str:
    """The type of a column, texts all being one."""
    type = _TYPES[column.strip('"')]
    return "string" if type in _TEXTS else type


def _shown(node: exp.Expr) -> str:
    text = node.sql(dialect="duckdb")
    return repr(text if len(text) <= 80 else f"{text[:80]}…")


def _text(value: str | float) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _severity(value: str | float) -> str:
    if value not in SEVERITIES:
        raise ValueError
    return _text(value)


def _number(value: str | float) -> float:
    if isinstance(value, str):
        raise ValueError
    return value


def _moment(value: str | float) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_VALUES: dict[str, tuple[Callable[[str | float], Any], str]] = {
    "string": (_text, "a text in single quotes"),
    "severity": (_severity, f"one of {', '.join(map(repr, SEVERITIES))}"),
    "int32": (_number, "a number"),
    "timestamp": (_moment, "a moment like '2025-08-29T10:00:00Z'"),
    "date": (lambda value: date.fromisoformat(_text(value)), "a day like '2025-08-29'"),
}
