"""Keeping what must not be told out of what is told."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit, urlunsplit

import msgspec

_SECRET_OPTION = re.compile(r"(?i)(key|secret|token|passw|pass$|pwd|credential|connection_string|^sas)")
_NOT_SECRET = re.compile(r"(?i)(file|path|(?<!access_)key_?id|kms)")
_PART = re.compile(r"(?i)(?:^|[;&?])(?:AccountKey|SharedAccessSignature|sig)=([^;&]+)")
_SHORTEST = 4
"""Shorter ones would turn up in ordinary words."""

MASK = "***"

LONGEST = 500
"""Characters of a driver's error; some append whole answers of the server."""


def secrets_in(options: Mapping[str, Any]) -> frozenset[str]:
    """The values in `options`, at any depth, that their names say are secret; also as URLs spell them."""
    found = {part for value in _values(options) for part in (value, *_PART.findall(value))}
    spelt = {form for value in found for form in (value, quote(value, safe=""), quote_plus(value))}
    return frozenset(value for value in spelt if len(value) >= _SHORTEST)


def by_name(value: Any, secret: bool = False) -> Any:
    """`value`, a configuration, with `${NAME}` in place of each secret that stands in a variable NAME.

    What is `secret` is told by the names of keys, as in `secrets_in`.
    """
    if isinstance(value, Mapping):
        return {key: by_name(member, secret or _is_secret(str(key))) for key, member in value.items()}
    if isinstance(value, list):
        return [by_name(member, secret) for member in value]
    if secret and isinstance(value, str) and len(value) >= _SHORTEST:
        return next((f"${{{name}}}" for name, held in os.environ.items() if held == value), value)
    return value


def hide(text: str, secrets: frozenset[str]) -> str:
    """`text` with a mask in place of each of `secrets`."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def scrubbed(text: str, settings: Any) -> str:
    """`text` without the secrets in `settings`, a configuration: drivers quote what they were given."""
    return hide(text, secrets_in({"": msgspec.to_builtins(settings, enc_hook=str)}))


def told(error: Exception, secrets: frozenset[str]) -> str:
    """What a driver's error says, on one line, without secrets."""
    return hide(" ".join(f"{type(error).__name__}: {error}".split()), secrets)[:LONGEST].rstrip(" .:")


def without_secrets(url: str) -> str:
    """`url` without user name, password, query and fragment."""
    parts = urlsplit(url)
    if not parts.scheme or ("@" not in parts.netloc and not parts.query and not parts.fragment):
        return url
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _values(options: Mapping[str, Any], secret: bool = False) -> Iterator[str]:
    """The values whose names, or the names of what they stand in, are secret, and what URLs hold."""
    for name, value in options.items():
        told = secret or _is_secret(name)
        if isinstance(value, Mapping):
            yield from _values(value, told)
        elif isinstance(value, list):
            yield from _values({f"{name}[{place}]": member for place, member in enumerate(value)}, told)
        elif isinstance(value, str):
            if told:
                yield value
            if "://" in value:
                yield from _in_url(value)


def _is_secret(name: str) -> bool:
    return bool(_SECRET_OPTION.search(name) and not _NOT_SECRET.search(name))


def _in_url(url: str) -> Iterator[str]:
    # By hand: urlsplit takes no password that has a slash in it, as people write them.
    rest = url.partition("://")[2]
    password = rest.rpartition("@")[0].partition(":")[2]
    yield from filter(None, (password, unquote(password), rest.partition("?")[2]))
