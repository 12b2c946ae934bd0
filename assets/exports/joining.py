"""An export whose days are made by the workers of an engine, and put one after the other."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import IO, TYPE_CHECKING

from assets import query as queries
from assets.answers import reading
from assets.exports.formats import FORMATS, Format
from assets.exports.selection import COLUMNS, Selection
from assets.query import Query
from resources.backend import Backend
from resources.config import Storage
from resources.engines import Engine, Local
from resources.lake import layout

if TYPE_CHECKING:
    import pyarrow as pa

PART_BYTES = 16 * 1024 * 1024
"""Of issues as the lake has them, at most, unless a day has more: what is made of them is held in memory."""

TASKS_EACH = 4

Part = tuple[Query, str, date, date]
"""What to export in which format, of the days from one to another."""


def may_join(engine: Engine, chosen: Format, query: Query, limit: int | None, manifest: bool) -> bool:
    """Whether workers make the export: the newest come first, and no part depends on the one before."""
    whole = query.sort is None and limit is None and query.offset == 0
    return not isinstance(engine, Local) and chosen.name in _JOINS and whole and not manifest


def export(engine: Engine, lake: Backend, query: Query, chosen: Format, path: Path) -> int:
    """Write what `query` selects to the new file `path`; how many issues that are.

    Each part is as it was when its worker read it. Raises as `assets.exports.export` does.
    """
    parts = [(query, chosen.name, first, last) for first, last in _spans(lake, query, engine.at_once)]
    count = 0
    with open(path, "wb") as file:
        join = _JOINS[chosen.name](file)
        # The one part that there is in any case has what a file without issues has.
        for made, content in engine.map(export_part, parts or [(query, chosen.name, date.min, date.min)]):
            join(content)
            count += made
        join(None)
    return count


def export_part(lake: Backend, part: Part) -> tuple[int, bytes]:
    """How many issues some days have of an export, and the file of them."""
    query, name, first, last = part
    compiled = dataclasses.replace(queries.compile(query), first=first, last=last)
    with tempfile.TemporaryDirectory(prefix="issuelake-") as folder:
        made = Path(folder) / "part"
        count = reading(
            Storage("", lake),
            lambda connection: FORMATS[name].writer()(Selection(connection, compiled), made),
            compiled,
            (layout.ISSUES,),
            compiled.asking_for(*COLUMNS),
        )
        return count, made.read_bytes()


def _spans(lake: Backend, query: Query, workers: int) -> Iterator[tuple[date, date]]:
    """The days that `query` selects from, some at a time, the newest first."""
    compiled = queries.compile(query)
    first, last = compiled.first or date.min, compiled.last or date.max
    days = [day for day in reversed(lake.days()) if first <= day <= last]
    sizes = {day: size for day, (_, size) in lake.stored(days, layout.ISSUES).items()}
    most = min(PART_BYTES, sum(sizes.values()) // (TASKS_EACH * workers) + 1)
    span: list[date] = []
    size = 0
    for day in days:
        if span and size + sizes[day] > most:
            yield span[-1], span[0]
            span, size = [], 0
        span.append(day)
        size += sizes[day]
    if span:
        yield span[-1], span[0]


def _lines(file: IO[bytes]) -> Callable[[bytes | None], None]:
    def join(content: bytes | None) -> None:
        file.write(content or b"")

    return join


def _lines_under_a_head(file: IO[bytes]) -> Callable[[bytes | None], None]:
    def join(content: bytes | None) -> None:
        file.write((content or b"") if file.tell() == 0 else (content or b"").partition(b"\n")[2])

    return join


def _row_groups(file: IO[bytes]) -> Callable[[bytes | None], None]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writers: list[pq.ParquetWriter] = []

    def join(content: bytes | None) -> None:
        if content is None:
            writers[0].close()
            return
        table: pa.Table = pq.read_table(pa.BufferReader(content))
        # DuckDB says of each part whether it could have nulls.
        table = table.cast(pa.schema([column.with_nullable(True) for column in table.schema]))
        if not writers:
            writers.append(pq.ParquetWriter(file, table.schema, compression="zstd"))
        writers[0].write_table(table)

    return join


_JOINS = {"ndjson": _lines, "csv": _lines_under_a_head, "parquet": _row_groups}
"""The formats in which parts follow each other, and how; the end is told by None."""
