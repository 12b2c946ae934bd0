"""The table of open problems as a page carries it: columns, in which a text that comes again is a number."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.exports.escaping import visible

FINGERPRINT_DIGITS = 12
"""Of 32; they find the problem by `issuelake problems`, and tell 50,000 apart."""

DICTIONARIES = (
    "severity",
    "status",
    "target_plugin",
    "category",
    "rule",
    "file_path",
    "description",
    "triage",
    "triage_reason",
    "triage_until",
    "first_seen",
    "last_seen",
    "opened_at",
)
NUMBERS = ("runs_seen", "reopened")


def encode(rows: pa.Table) -> dict[str, Any]:
    """`rows` as `{"count": 2, "fingerprint": "…", "columns": {"rule": {"values": […], "codes": […]}}}`.

    The code of a null is -1. Fingerprints are one text of `FINGERPRINT_DIGITS` each.
    """
    fingerprints = pc.utf8_slice_codeunits(rows["fingerprint"], 0, FINGERPRINT_DIGITS).to_pylist()
    return {
        "count": rows.num_rows,
        "fingerprint": "".join(fingerprints),
        "columns": {name: _dictionary(rows[name]) for name in DICTIONARIES},
        "numbers": {name: rows[name].to_pylist() for name in NUMBERS},
    }


def _dictionary(column: pa.ChunkedArray) -> dict[str, list[Any]]:
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return {
        "values": [_plain(value) for value in encoded.dictionary.to_pylist()],
        "codes": pc.fill_null(encoded.indices, -1).to_pylist(),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    return value if isinstance(value, int) else value.isoformat()
