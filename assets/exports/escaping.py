"""Texts from outside, for pages that people read."""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)


def visible(text: str) -> str:
    """`text` without control characters and without those that turn a line around."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)
