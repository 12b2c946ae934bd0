"""`query.where`: a boolean expression over the columns of an issue, and nothing else.

The expression is parsed, every node of its tree is checked against a short list, and SQL is made
from the tree, so what was not understood never reaches the database.
"""

from __future__ import annotations

import sqlglot
from sqlglot import expressions as exp
from sqlglot.errors import SqlglotError

from resources.errors import QueryError
from resources.schema import ISSUES, RUN_DATE

COLUMNS = frozenset(c.name for c in (*ISSUES, RUN_DATE))

_ALLOWED = (
    exp.And,
    exp.Or,
    exp.Not,
    exp.Paren,
    exp.EQ,
    exp.NEQ,
    exp.LT,
    exp.LTE,
    exp.GT,
    exp.GTE,
    exp.In,
    exp.Between,
    exp.Like,
    exp.ILike,
    exp.Is,
    exp.Null,
    exp.Boolean,
    exp.Literal,
    exp.Neg,
    exp.Column,
    exp.Identifier,
)

HELP = "columns, = <> < <= > >=, AND OR NOT, IN, LIKE, ILIKE, BETWEEN, IS NULL and parentheses"


def checked(expression: str) -> str:
    """`expression` as SQL for DuckDB. Raises `QueryError`."""
    try:
        tree = sqlglot.parse_one(f"SELECT 1 WHERE {expression}", dialect="duckdb")
    except SqlglotError as error:
        reason = str(error).splitlines()[0]
        raise QueryError(f"where: cannot be read ({reason}); it may hold {HELP}.") from None
    condition = tree.args["where"].this if isinstance(tree, exp.Select) and tree.args.get("where") else None
    rest = {k for k, v in tree.args.items() if v and k not in ("where", "expressions", "kind")}
    if condition is None or rest:
        raise QueryError(f"where: may only hold one condition: {HELP}.")
    for node in condition.walk():
        if not isinstance(node, _ALLOWED):
            raise QueryError(f"where: {node.sql()!r} is not let through; it may hold {HELP}.")
        if isinstance(node, exp.Column) and (node.name not in COLUMNS or len(node.parts) != 1):
            known = ", ".join(sorted(COLUMNS))
            raise QueryError(f"where: there is no column {node.sql()!r}; there are {known}.")
        if isinstance(node, exp.In) and node.args.get("query"):
            raise QueryError("where: IN takes a list of values.")
    return str(_severity_ordered(condition).sql(dialect="duckdb"))


def _severity_ordered(condition: exp.Expression) -> exp.Expression:
    """`condition` with severities compared by their order, not by the alphabet."""

    def cast(node: exp.Expression) -> exp.Expression:
        if (
            isinstance(node, exp.Literal)
            and node.is_string
            and isinstance(node.parent, exp.Binary | exp.Between)
        ):
            others = node.parent.find_all(exp.Column)
            if any(column.name == "severity" for column in others):
                return exp.cast(node.copy(), exp.DataType.build("severity", udt=True))
        return node

    if not any(isinstance(n, exp.LT | exp.LTE | exp.GT | exp.GTE | exp.Between) for n in condition.walk()):
        return condition
    return condition.transform(cast)
