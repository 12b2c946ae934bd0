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

from resources.encryption import Key
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

_FEW_TEXTS = 64
"""So many texts of which some may not occur are written as they are: finding those takes longer."""

STATISTICS = [
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


_ONE_PAGE: dict[str, Any] = {
    "data_page_size": 2**30,
    "dictionary_pagesize_limit": 2**30,
    "max_rows_per_page": ROW_GROUP_ROWS,
}
"""DuckDB 2.0 finds the second page of an encrypted column chunk to be damaged, so there is only one."""

_ENCRYPTED_GROUP_BYTES = 64 * 2**20
"""What a row group may hold where pages cannot be cut: far less than the 2 GiB of a page."""


def encode(table: pa.Table, metadata: Any = None, *, key: Key | None) -> bytes:
    """The table as one Parquet file, encrypted where there is a key.

    `metadata` goes into its footer as JSON under `issuelake`.
    """
    return encode_batches(table.schema, [table], metadata, key=key)


def encode_batches(
    schema: pa.Schema, tables: Iterable[pa.Table], metadata: Any = None, *, key: Key | None
) -> bytes:
    """The tables, one after the other, as one Parquet file, encrypted where there is a key.

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
        "write_statistics": [name for name in STATISTICS if name in schema.names],
    }
    if key is not None:
        options |= {**_ONE_PAGE, "encryption_properties": key.to_write()}
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, written, **options) as writer:
        for table in chain([first], remaining):
            for start in range(0, table.num_rows or 1, ROW_GROUP_ROWS):
                # Coded for each row group by itself: a dictionary is written whole with every one.
                rows = table.slice(start, ROW_GROUP_ROWS)
                for group in _groups(rows, written, None if key is None else _ENCRYPTED_GROUP_BYTES):
                    writer.write_table(group)
        if metadata is not None:
            writer.add_key_value_metadata({"issuelake": json.dumps(metadata, sort_keys=True)})
    return buffer.getvalue()


def _groups(rows: pa.Table, written: pa.Schema, limit: int | None) -> Iterator[pa.Table]:
    """The rows as they are written, in pieces of not more than `limit` bytes each if they can be."""
    group = pa.table([_coded(rows[field.name], field.type) for field in written], schema=written)
    half = rows.num_rows // 2
    if limit is None or group.nbytes <= limit or not half:
        yield group
        return
    yield from _groups(rows.slice(0, half), written, limit)
    yield from _groups(rows.slice(half), written, limit)


def repeats(column: pa.ChunkedArray | pa.Array) -> bool:
    """Whether the values of a column of texts come again and again."""
    coded = pa.types.is_dictionary(column.type)
    if not (coded or pa.types.is_string(column.type)) or not len(column):
        return False
    # Rows side by side, since a file is sorted so that the same problem of many runs lies together.
    sample = column.slice(max(0, (len(column) - _SAMPLE) // 2), _SAMPLE)
    most = _DISTINCT_SHARE * len(sample)
    if coded:
        chunks = pa.chunked_array(sample).chunks
        if sum(len(chunk.dictionary) + 1 for chunk in chunks) <= most:  # and null: nothing to be counted
            return True
        sample = pa.chunked_array([chunk.indices for chunk in chunks])
    return bool(pc.count_distinct(sample, mode="all").as_py() <= most)


def _dictionary_field(field: pa.Field) -> pa.Field:
    return field.with_type(pa.dictionary(pa.int32(), pa.string()))


def _coded(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """The column as a dictionary of exactly the texts that it has, where one is wanted."""
    if not pa.types.is_dictionary(wanted) or not len(column):
        return column.cast(wanted)
    if not pa.types.is_dictionary(column.type):
        return column.combine_chunks().dictionary_encode()
    coded = column.combine_chunks()
    if len(coded.dictionary) <= _FEW_TEXTS:
        return coded
    used = coded.indices.dictionary_encode()
    return pa.DictionaryArray.from_arrays(used.indices, coded.dictionary.take(used.dictionary))


def decode(data: bytes, columns: Sequence[str] | None = None, *, key: Key | None) -> pa.Table:
    """The columns of a Parquet file. Raises `StorageError` where `key` does not decrypt it."""
    with telling("A Parquet file", key):
        return _file(pa.BufferReader(data), key).read(columns=columns)


def open_file(name: str, *, key: Key | None) -> pq.ParquetFile:
    """The local Parquet file `name`.

    Raises `StorageError`, as where `key` does not decrypt it, or `Vanished` where there is none any more.
    """
    with telling(name, key):
        return _file(name, key)


def read_table(name: str, columns: Sequence[str] | None = None, *, key: Key | None) -> pa.Table:
    """The columns of the local Parquet file `name`. Raises what `open_file` does."""
    with telling(name, key):
        return _file(name, key).read(columns=columns)


@contextmanager
def telling(name: str, key: Key | None) -> Iterator[None]:
    """What cannot be read of the file `name`, with `key`, is an error of the storage."""
    try:
        yield
    except OSError as error:
        if error.errno in GONE:
            raise Vanished(f"{name} has gone since it was listed: list again.") from error
        if key is not None and error.errno is None:  # pyarrow's own, not the system's
            raise StorageError(
                f"{name} is damaged, or was not encrypted with the key {key.name} as its name says:"
                " compare it with a copy."
            ) from error
        raise StorageError(f"Could not read {name}: {error}.") from error


def _file(source: Any, key: Key | None) -> pq.ParquetFile:
    return pq.ParquetFile(source, decryption_properties=None if key is None else key.to_read())


def footer(file: pq.ParquetFile) -> Any:
    """What `encode` was given as `metadata`."""
    return json.loads((file.metadata.metadata or {}).get(b"issuelake", b"null"))
