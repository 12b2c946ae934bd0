"""Texts and JSON documents as Arrow arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

_encode_lines = msgspec.json.Encoder(order="sorted").encode_lines


def texts(values: Sequence[str | None]) -> pa.Array:
    """Texts as they are, null where there is none."""
    return pa.array(values, pa.string())


def documents(values: Sequence[dict[str, Any] | None]) -> pa.Array:
    """Objects as compact JSON with sorted keys, null where there is none."""
    return pa.array(_lines(values), pa.string())


def json_texts(values: Sequence[dict[str, Any] | None]) -> list[str | None]:
    """What `documents` are, as Python's own texts."""
    return [None if line is None else line.decode() for line in _lines(values)]


def _lines(values: Sequence[dict[str, Any] | None]) -> Sequence[bytes | None]:
    present = values if None not in values else [value for value in values if value is not None]
    # A line each: JSON has no raw line breaks in its strings.
    lines = _encode_lines(present).split(b"\n")
    lines.pop()
    if len(present) == len(values):
        return lines
    following = iter(lines)
    return [None if value is None else next(following) for value in values]
