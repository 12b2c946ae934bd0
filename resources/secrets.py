"""Keeping what must not be told out of what is told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

_SECRET_OPTION = re.compile(r"(?i)(key|secret|token|passw|pass$|pwd|credential|connection_string|^sas)")
_NOT_SECRET = re.compile(r"(?i)(file|path|(?<!access_)key_?id|kms)")
_PART = re.compile(r"(?i)(?:^|[;&?])(?:AccountKey|SharedAccessSignature|sig)=([^;&]+)")
_SHORTEST = 4
"""Shorter ones would turn up in ordinary words."""

MASK = "***"


def secrets_in(options: Mapping[str, Any]) -> frozenset[str]:
    """The values in `options`, at any depth, that their names say are secret; also as URLs spell them."""
    found = {part for value in _values(options) for part in (value, *_PART.findall(value))}
    spelt = {form for value in found for form in (value, quote(value, safe=""), quote_plus(value))}
    return frozenset(value for value in spelt if len(value) >= _SHORTEST)


def hide(text: str, secrets: frozenset[str]) -> str:
    """`text` with a mask in place of each of `secrets`."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def _values(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _values(value)
        elif isinstance(value, str) and _SECRET_OPTION.search(name) and not _NOT_SECRET.search(name):
            yield value
