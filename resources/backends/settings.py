"""What every configured backend takes, and how its secrets stay out of sight."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec

if TYPE_CHECKING:
    from resources.backend import Backend

HARMLESS = frozenset(
    {
        "backup_enabled",
        "block_size",
        "connection_pool_size",
        "connection_timeout",
        "max_history",
        "port",
        "priority",
        "replication_factor",
        "timeout_seconds",
    }
)
"""The keys whose values a `repr` shows. Any other may hold what a `${NAME}` was replaced by."""

HIDDEN = "***"

_SECRET = re.compile(r"pass|secret|key|token|credential|connection_string|auth|sas", re.IGNORECASE)


class Settings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The keys of a backend, as `storage_config` has them under its name."""

    priority: int
    """The lowest number is the one that `auto` takes."""

    def place(self) -> str:
        """Where it is, without secrets."""
        raise NotImplementedError

    def open(self) -> Backend:
        """The storage itself. Raises `ConfigError`, `UsageError` or `StorageError`."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value}' for key, value in self._shown())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return list(self._shown())

    def _shown(self) -> Iterator[tuple[str, Any]]:
        for key in self.__struct_fields__:
            yield key, getattr(self, key) if key in HARMLESS else HIDDEN


def scrubbed(text: str, settings: Any) -> str:
    """`text` without the secrets in `settings`, a configuration: drivers quote what they were given."""
    for secret in sorted(set(_secrets(msgspec.to_builtins(settings, enc_hook=str))), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _secrets(value: Any, secret: bool = False) -> Iterator[str]:
    """The values under keys that sound secret, and the passwords in URLs."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _secrets(member, secret or bool(_SECRET.search(str(key))))
    elif isinstance(value, list):
        for member in value:
            yield from _secrets(member, secret)
    elif isinstance(value, str) and value:
        if secret:
            yield value
            yield from (part.partition("=")[2] for part in value.split(";") if _SECRET.search(part))
        if "://" in value:
            yield from _in_url(value)


def _in_url(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    password = parts.netloc.rpartition("@")[0].partition(":")[2]
    yield from filter(None, (password, unquote(password), parts.query))
