"""The hash of a run's content: whether a delivery says anything new is told by it alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256

import msgspec

_encode = msgspec.json.Encoder(order="sorted").encode

Head = tuple[str, str, int | None, str | None, str | None]
"""Plugin, change type, score, and as sorted JSON the metadata and the fields that nobody named."""


def content_hash(run_id: str | None, stated: datetime | None, head: Head, issues: Iterable[bytes]) -> str:
    """The hash (32 hex digits) of a run; `issues` are the SHA-256 of each issue's sorted JSON.

    An id or a moment that the run does not state itself is None.
    """
    # A document that ends by itself, then 32 bytes for each issue: no two contents feed the
    # hash the same bytes.
    return sha256(b"".join([_encode((run_id, stated, *head)), *issues])).hexdigest()[:32]
