"""The issues of an export, in order, however many they are.

A selection that fits in memory is put in order by Polars, three times as fast as DuckDB does it; a
larger one by DuckDB, which goes to disk when it must. `docs/decisions/0008` has the figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from assets.query import NEWEST_FIRST, Compiled
from resources.schema import ISSUES
from resources.session import literal, sql

if TYPE_CHECKING:
    import duckdb
    import polars as pl

COLUMNS = tuple(c.name for c in ISSUES if c.name != "batch_id")
JSON_COLUMNS = tuple(c.name for c in ISSUES if c.type == "json")

HELD_BYTES = 128 * 1024 * 1024
"""Up to this much is put in order in memory."""

_BATCH_ROWS = 8192
_NEWEST_FIRST = ", ".join(f'"{name}" {direction} NULLS LAST' for name, direction in NEWEST_FIRST)
_NAME = re.compile(r'"(\w+)"')
_PLAIN = {"severity": "severity::VARCHAR"}
_AS_JSON = {
    **_PLAIN,
    "timestamp": "replace(strftime(\"timestamp\", '%Y-%m-%dT%H:%M:%S.%fZ'), '.000000Z', 'Z')",
    **{name: f"{name}::JSON" for name in JSON_COLUMNS},
}
"""Columns as they stand in answers: moments in RFC 3339, objects as objects."""


@dataclass(frozen=True)
class Selection:
    """What a compiled query selects on a connection that has the view `issues`."""

    connection: duckdb.DuckDBPyConnection
    compiled: Compiled
    limit: int | None = None
    regrouped: bool = False
    columns: tuple[str, ...] = COLUMNS

    @property
    def parameters(self) -> list[Any]:
        """The values of the question marks in every statement of this selection."""
        return self.compiled.issues_parameters

    @property
    def statement(self) -> str:
        """The SELECT that an export answers, in order."""
        selected = self._select(_PLAIN, self._order)
        return f"SELECT * FROM ({selected}) ORDER BY {_NEWEST_FIRST}" if self.regrouped else selected

    def counts(self) -> dict[tuple[str, str], int]:
        """How many issues, by plugin and severity."""
        counting = sql("assets", "export_counts").format(
            selected=self._select({}, self._page and self._order)
        )
        rows = self.connection.execute(counting, self.parameters).fetchall()
        return {(plugin, severity): issues for plugin, severity, issues in rows}

    def copy_json(self, path: Path, options: str) -> int:
        """Write the issues as JSON objects to `path`, by DuckDB; how many there are."""
        selected = self._select(_AS_JSON, self._order)
        return _copy(self.connection, selected, self.parameters, path, f"FORMAT json, {options}")

    def copy_parquet(self, path: Path) -> int:
        """Write the issues as Parquet to `path`, by DuckDB; how many there are."""
        return copy_parquet(self.connection, self.statement, self.parameters, len(self.columns), path)

    def frames(self) -> Iterator[pl.DataFrame]:
        """The issues in order, at least one frame, JSON columns as text."""
        import polars as pl

        held = self._held()
        if held is not None:
            yield held.sql(f"SELECT * FROM self ORDER BY {_NEWEST_FIRST}")
            return
        reader = self.connection.sql(self.statement, params=self.parameters).to_arrow_reader(_BATCH_ROWS)
        nothing = True
        for batch in reader:
            nothing = False
            yield pl.DataFrame(batch)
        if nothing:
            yield pl.DataFrame(reader.schema.empty_table())

    def documents(self) -> Iterator[dict[str, Any]]:
        """The issues in order, each as an answer has it."""
        for frame in self.frames():
            for row in frame.iter_rows(named=True):
                row["timestamp"] = moment(row["timestamp"])
                for name in JSON_COLUMNS:
                    if row[name] is not None:
                        row[name] = msgspec.json.decode(row[name])
                yield row

    def run_by_run(self) -> Selection:
        """The same issues, those of each run together, the newest run first."""
        return replace(self, regrouped=self.compiled.order != _NEWEST_FIRST)

    def _held(self) -> pl.DataFrame | None:
        """The issues in no order, or None where they do not fit or DuckDB has the order cheaper."""
        import polars as pl
        import pyarrow as pa

        if self._page or self.compiled.order != _NEWEST_FIRST:
            return None
        unsorted = self.connection.sql(self._select(_PLAIN, ""), params=self.parameters)
        reader = unsorted.to_arrow_reader(_BATCH_ROWS)
        batches, size = [], 0
        for batch in reader:
            batches.append(batch)
            size += batch.nbytes
            if size > HELD_BYTES:
                return None
        return pl.DataFrame(pa.Table.from_batches(batches, reader.schema))

    def _select(self, expressions: dict[str, str], order: str) -> str:
        columns = ", ".join(
            f'{expressions[name]} AS "{name}"' if name in expressions else f'"{name}"'
            for name in self.columns
        )
        return (
            sql("assets", "export_issues")
            .format(columns=columns, where=self.compiled.issues_where, order=order)
            .rstrip()
        )

    @property
    def _order(self) -> str:
        # Qualified, or it would go by the columns as they are written, not as they are stored.
        qualified = _NAME.sub(r'issues."\1"', self.compiled.order)
        return f"ORDER BY {qualified}{self._page}"

    @property
    def _page(self) -> str:
        limit = "" if self.limit is None else f" LIMIT {self.limit:d}"
        return f"{limit} OFFSET {self.compiled.offset:d}" if self.compiled.offset else limit


def copy_parquet(
    connection: duckdb.DuckDBPyConnection, select: str, parameters: list[Any], columns: int, path: Path
) -> int:
    """Write the rows of `select`, which has so many `columns`, as Parquet to `path`; how many there are.

    The same rows in the same order give the same bytes.
    """
    whole = sql("assets", "export_parquet").format(selected=select, nulls=", ".join(["NULL"] * columns))
    return _copy(connection, whole, parameters, path, "FORMAT parquet, COMPRESSION zstd")


def _copy(
    connection: duckdb.DuckDBPyConnection, select: str, parameters: list[Any], path: Path, options: str
) -> int:
    statement = f"COPY ({select}) TO {literal(str(path))} ({options}, USE_TMP_FILE false)"
    [(count,)] = connection.execute(statement, parameters).fetchall()
    return int(count)


def moment(value: datetime) -> str:
    """A moment as answers have it: RFC 3339, UTC."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
