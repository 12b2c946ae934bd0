"""The content hash: same content, same hash, however the delivered JSON was laid out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

_SEPARATOR = "\x1f"
"""Stands in no severity and in no JSON document."""


def content_hashes(heads: Iterable[bytes], bounds: list[int], columns: Mapping[str, pa.Array]) -> list[str]:
    """A hash per run over its own fields (`heads`) and its rows of the issue `columns`.

    What is hashed can be taken apart again in one way only, so no two different runs feed the
    hash the same bytes: severity, details and extra end at a separator that they cannot hold, the
    lengths of the other texts (an absent one counts as -1) stand before.
    """
    texts = [columns[name] for name in ("category", "description", "file_path", "recommendation")]
    lengths = [_slices_of_lengths(*pair) for pair in (texts[:2], texts[2:])]
    documents = [columns[name] for name in ("severity", "details", "extra")]
    free = pc.binary_join_element_wise(*(text.fill_null("") for text in texts), "")
    rows = pc.binary_join_element_wise(*(d.fill_null("") for d in documents), free, _SEPARATOR)
    offsets = rows.buffers()[1]
    ends = memoryview(offsets or b"").cast("B").cast("i")
    data = memoryview(rows.buffers()[2] or b"")
    hashes = []
    for head, (start, end) in zip(heads, pairwise(bounds), strict=True):
        content: list[bytes | memoryview] = [head]
        if start != end:
            content += [length[8 * start : 8 * end] for length in lengths]
            content.append(data[ends[start] : ends[end]])
        hashes.append(sha256(b"".join(content)).hexdigest()[:32])
    return hashes


def _slices_of_lengths(first: pa.Array, second: pa.Array) -> memoryview:
    """The lengths of both texts of each row in 8 bytes."""
    high, low = (pc.add(pc.binary_length(text).fill_null(-1).cast(pa.int64()), 1) for text in (first, second))
    return memoryview(pc.bit_wise_or(pc.shift_left(high, 32), low).buffers()[1]).cast("B")
