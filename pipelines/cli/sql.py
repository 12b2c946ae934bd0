"""`issuelake sql`."""

from __future__ import annotations

import sys
from datetime import UTC
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assets.exports.formulas import FORMULA_STARTS
from pipelines.cli.options import CONFIG, STORAGE
from pipelines.cli.output import console, print_json
from pipelines.cli.output import table as rich_table
from resources.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def sql(
    query: Annotated[str, typer.Argument(help="A SELECT, '-' for standard input, or '@FILE'.")],
    storage: STORAGE = None,
    config: CONFIG = None,
    format: Annotated[Format, typer.Option("--format", "-f", help="How to print the rows.")] = Format.TABLE,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    max_rows: Annotated[int, typer.Option(min=1, help="Fail when there are more rows than this.")] = 10_000,
    max_seconds: Annotated[float, typer.Option(min=0.1, help="Fail when it takes longer than this.")] = 60.0,
) -> None:
    """Answer one SELECT over the views of the storage (DuckDB's SQL).

    They are `runs`, `issues`, `rejected`, `daily_summary`, `problems`, `problem_lives` and
    `triage_decisions`; docs/asking.md lists their columns.

    The query can read the lake and nothing else: no other file, no network, no writing, no
    setting. `severity` is ordered: `ORDER BY severity` puts critical first.

    **Examples**

    `issuelake sql "SELECT severity, count(*) FROM issues GROUP BY ALL ORDER BY ALL"`

    `issuelake sql "SELECT details->>'rule' AS rule, count(*) AS n FROM issues GROUP BY ALL ORDER BY n DESC"`

    `issuelake sql @trend.sql --format csv > trend.csv`
    """
    from assets.sql_access import select
    from pipelines.cli.opening import open_storage

    text = _text(query)
    rows = select(open_storage(storage, config).backend, text, max_rows, max_seconds)
    if json or format is Format.JSON:
        print_json(_documents(rows))
    elif format is Format.TABLE:
        columns = [(name, {"justify": "right"} if _numeric(rows, name) else {}) for name in rows.column_names]
        title = f"{rows.num_rows} rows" if rows.num_rows != 1 else "1 row"
        console().print(rich_table(title, columns, (row.values() for row in rows.to_pylist())))
    else:
        _write(rows, format)


def _text(query: str) -> str:
    if query == "-":
        return sys.stdin.read()
    if not query.startswith("@"):
        return query
    try:
        return Path(query[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Could not read the query from {query[1:]}: {error}.") from error


def _documents(rows: pa.Table) -> list[dict[str, Any]]:
    from datetime import datetime

    def plain(value: Any) -> Any:
        return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value

    return [{name: plain(value) for name, value in row.items()} for row in rows.to_pylist()]


def _numeric(rows: pa.Table, name: str) -> bool:
    import pyarrow.types as types

    kind = rows.schema.field(name).type
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _write(rows: pa.Table, format: Format) -> None:
    if sys.stdout.isatty() and format is Format.PARQUET:
        raise UsageError("Parquet is not for a terminal: redirect it into a file (> rows.parquet).")
    if format is Format.PARQUET:
        import pyarrow.parquet as pq

        pq.write_table(rows, sys.stdout.buffer, compression="zstd")
    else:
        import pyarrow.csv as csv

        csv.write_csv(_spreadsheet_safe(rows), sys.stdout.buffer)


def _spreadsheet_safe(rows: pa.Table) -> pa.Table:
    """Text columns with an apostrophe before what a spreadsheet would take for a formula.

    Nested values become JSON text; CSV has no other place for them.
    """
    import msgspec
    import pyarrow as pa
    import pyarrow.types as types

    columns = []
    for column in rows.columns:
        kind = column.type
        if types.is_nested(kind):
            column = pa.array(
                [None if v is None else msgspec.json.encode(v).decode() for v in column.to_pylist()]
            )
        elif types.is_dictionary(kind):
            column = column.cast(pa.string())
        if types.is_string(column.type):
            texts = column.to_pylist()
            column = pa.array(
                [f"'{t}" if t is not None and t.startswith(FORMULA_STARTS) else t for t in texts], pa.string()
            )
        columns.append(column)
    return pa.table(columns, rows.column_names)
