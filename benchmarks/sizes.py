"""How large the files of a day are, against what DuckDB, pyarrow and polars make of the same rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import lakes
from benchmarks.measure import Row, Setup, scratch

TITLE = "Size: a day's Parquet files, zstd"

MOST = 1.10


def run(setup: Setup) -> list[Row]:
    lake = lakes.lake(setup.scale(500_000, 9_000), lakes.MONTH)
    return [_row(table, max((lake / table).rglob("*.parquet"))) for table in ("issues", "runs")]


def _row(table: str, stored: Path) -> Row:
    # Read without its folders, which would add the partition as a column.
    rows = pq.ParquetFile(stored).read()
    plain = rows.cast(pa.schema([_plain(field) for field in rows.schema]))
    with scratch() as folder:
        sizes = {name: _size(write, plain, folder / name) for name, write in _WRITERS.items()}
    ours, (smallest, peer) = stored.stat().st_size, min(sizes.items(), key=lambda item: item[1])
    ratio = ours / peer
    return Row(
        f"{table}: {len(rows):,} rows",
        _shown(ours),
        f"{smallest} {_shown(peer)}",
        f"{ratio:.0%}",
        f"≤ {MOST:.0%}",
        ratio <= MOST,
        samples={"ours": [ours], **{name: [size] for name, size in sizes.items()}},
        note="; ".join(f"{name} {_shown(size)}" for name, size in sizes.items())
        + ". The same order of rows, each library at the level that it takes by itself.",
    )


def _plain(field: pa.Field) -> pa.Field:
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


def _size(write: Callable[[pa.Table, str], object], rows: pa.Table, path: Path) -> int:
    write(rows, str(path))
    return path.stat().st_size


def _by_duckdb(rows: pa.Table, path: str) -> None:
    with duckdb.connect() as connection:
        connection.register("given", rows)
        connection.execute(f"COPY given TO '{path}' (FORMAT parquet, COMPRESSION zstd)")


def _by_pyarrow(rows: pa.Table, path: str) -> None:
    pq.write_table(rows, path, compression="zstd")


def _by_polars(rows: pa.Table, path: str) -> None:
    pl.DataFrame(rows).write_parquet(path, compression="zstd")


_WRITERS = {"DuckDB": _by_duckdb, "pyarrow": _by_pyarrow, "polars": _by_polars}


def _shown(size: float) -> str:
    return f"{size / 2**20:.2f} MiB"
