"""Arrow tables to Parquet bytes and back, the way every file of a lake is written."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_ROWS = 65_536
"""Small enough that a day's file is pruned by plugin, large enough to compress and scan well."""

_DICTIONARY = [
    "validation_run_id",
    "target_plugin",
    "change_type",
    "category",
    "severity",
    "file_path",
    "recommendation",
    "timestamp",
    "stored_at",
    "batch_id",
    "pipeline_score",
]
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
    "compression_level": 3,
    "store_schema": False,
    "write_page_index": False,
}


def _options(schema: pa.Schema) -> dict[str, Any]:
    return _OPTIONS | {
        "use_dictionary": [name for name in _DICTIONARY if name in schema.names],
        "write_statistics": [name for name in _STATISTICS if name in schema.names],
    }


def encode(table: pa.Table, metadata: Any = None) -> bytes:
    """The table as one Parquet file; `metadata` goes into its footer as JSON under `issuelake`."""
    return encode_batches(table.schema, [table], metadata)


def encode_batches(schema: pa.Schema, tables: Iterable[pa.Table], metadata: Any = None) -> bytes:
    """The tables, one after the other, as one Parquet file."""
    if metadata is not None:
        schema = schema.with_metadata({"issuelake": json.dumps(metadata, sort_keys=True)})
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, **_options(schema)) as writer:
        for table in tables:
            writer.write_table(table.cast(schema), row_group_size=ROW_GROUP_ROWS)
    return buffer.getvalue()


def decode(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The columns of a Parquet file."""
    return pq.ParquetFile(pa.BufferReader(data)).read(columns=columns)


def footer(file: pq.ParquetFile) -> Any:
    """What `encode` was given as `metadata`."""
    return json.loads((file.schema_arrow.metadata or {}).get(b"issuelake", b"null"))
