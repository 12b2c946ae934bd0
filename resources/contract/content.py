"""The hash of a run's content: whether a delivery says anything new is told by it alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256

import msgspec

_encode_lines = msgspec.json.Encoder(order="sorted").encode_lines

Head = tuple[str, str, int | None, str | None, str | None]
"""Plugin, change type, score, and as sorted JSON the metadata and the fields that nobody named."""


Content = tuple[str | None, datetime | None, str, str, int | None, str | None, str | None]
"""The id and the moment, None where the run does not state it itself, and the head."""


def content_hash(run_id: str | None, stated: datetime | None, head: Head, issues: Iterable[bytes]) -> str:
    """The hash (32 hex digits) of a run; `issues` are the SHA-256 of each issue's sorted JSON.

    An id or a moment that the run does not state itself is None.
    """
    [hashed] = content_hashes([(run_id, stated, *head)], [issues])
    return hashed


def content_hashes(contents: Sequence[Content], issues: Sequence[Iterable[bytes]]) -> list[str]:
    """`content_hash` of each of many runs."""
    # A document that ends by itself, then 32 bytes for each issue: no two contents feed the
    # hash the same bytes. JSON has no raw line breaks in its strings.
    documents = _encode_lines(contents).split(b"\n")[:-1]
    return [
        sha256(b"".join([document, *hashes])).hexdigest()[:32]
        for document, hashes in zip(documents, issues, strict=True)
    ]
