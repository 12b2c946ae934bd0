"""Arrow tables to Parquet bytes and back, the way every file of a lake is written."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from resources.errors import StorageError, Vanished
from resources.files.local import GONE

ROW_GROUP_ROWS = 65_536
"""Small enough that a day's file is pruned by plugin, large enough to compress and scan well."""

_REPEATED = frozenset({"issue_index", "timestamp", "stored_at", "pipeline_score"})
"""Numbers and moments that are worth a dictionary; texts are where their values repeat."""

_DISTINCT_SHARE = 0.5
"""Of the rows, up to which values repeat enough: a dictionary of more costs time and saves nothing."""

_SAMPLE = 4096
"""Rows that are looked at to tell whether the values of a column repeat."""

_STATISTICS = [
    "validation_run_id",
    "timestamp",
    "target_plugin",
    "category",
    "severity",
    "stored_at",
    "fingerprint",
    "id_hash",
    "run_date",
]
"""Only where pruning can use them: the least and greatest description helps nobody."""

_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 1,
    "store_schema": False,
    "write_page_index": False,
}


def encode(table: pa.Table, metadata: Any = None) -> bytes:
    """The table as one Parquet file; `metadata` goes into its footer as JSON under `issuelake`."""
    return encode_batches(table.schema, [table], metadata)


def encode_batches(schema: pa.Schema, tables: Iterable[pa.Table], metadata: Any = None) -> bytes:
    """The tables, one after the other, as one Parquet file.

    A column of texts that is `string` in `schema` may come as a dictionary of texts.
    """
    remaining = iter(tables)
    first = next(remaining, None)
    if first is None:
        first = schema.empty_table()
    repeated = {name for name in schema.names if repeats(first[name])}
    fields = [_dictionary_field(field) if field.name in repeated else field for field in schema]
    written = pa.schema(fields)
    options = _OPTIONS | {
        "use_dictionary": sorted(repeated | _REPEATED & set(schema.names)),
        "write_statistics": [name for name in _STATISTICS if name in schema.names],
    }
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, written, **options) as writer:
        for table in chain([first], remaining):
            for start in range(0, table.num_rows or 1, ROW_GROUP_ROWS):
                # Coded for each row group by itself: a dictionary is written whole with every one.
                rows = table.slice(start, ROW_GROUP_ROWS)
                columns = [_coded(rows[field.name], field.type) for field in written]
                writer.write_table(pa.table(columns, schema=written))
        if metadata is not None:
            writer.add_key_value_metadata({"issuelake": json.dumps(metadata, sort_keys=True)})
    return buffer.getvalue()


def repeats(column: pa.ChunkedArray | pa.Array) -> bool:
    """Whether the values of a column of texts come again and again."""
    coded = pa.types.is_dictionary(column.type)
    if not (coded or pa.types.is_string(column.type)) or not len(column):
        return False
    # Rows side by side, since a file is sorted so that the same problem of many runs lies together.
    sample = column.slice(max(0, (len(column) - _SAMPLE) // 2), _SAMPLE)
    if coded:
        sample = pa.chunked_array([chunk.indices for chunk in pa.chunked_array(sample).chunks])
    return bool(pc.count_distinct(sample, mode="all").as_py() <= _DISTINCT_SHARE * len(sample))


def _dictionary_field(field: pa.Field) -> pa.Field:
    return field.with_type(pa.dictionary(pa.int32(), pa.string()))


def _coded(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """The column as a dictionary of exactly the texts that it has, where one is wanted."""
    if not pa.types.is_dictionary(wanted) or not len(column):
        return column.cast(wanted)
    if not pa.types.is_dictionary(column.type):
        return column.combine_chunks().dictionary_encode()
    coded = column.combine_chunks()
    used = coded.indices.dictionary_encode()
    return pa.DictionaryArray.from_arrays(used.indices, coded.dictionary.take(used.dictionary))


def decode(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The columns of a Parquet file."""
    return pq.ParquetFile(pa.BufferReader(data)).read(columns=columns)


def open_file(name: str) -> pq.ParquetFile:
    """The local Parquet file `name`. Raises `StorageError`, or `Vanished` where there is none any more."""
    with telling(name):
        return pq.ParquetFile(name)


def read_file(name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The columns of the local Parquet file `name`. Raises what `open_file` does."""
    with telling(name):
        return pq.ParquetFile(name).read(columns=columns)


@contextmanager
def telling(name: str) -> Iterator[None]:
    """What the system refuses to read of the file `name` is an error of the storage."""
    try:
        yield
    except OSError as error:
        if error.errno in GONE:
            raise Vanished(f"{name} has gone since it was listed: list again.") from error
        raise StorageError(f"Could not read {name}: {error}.") from error


def footer(file: pq.ParquetFile) -> Any:
    """What `encode` was given as `metadata`."""
    return json.loads((file.metadata.metadata or {}).get(b"issuelake", b"null"))
