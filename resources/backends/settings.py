"""What every configured backend takes, and how its secrets stay out of sight."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import msgspec

from resources.errors import ConfigError
from resources.secrets import MASK

if TYPE_CHECKING:
    from resources.backend import Backend

HARMLESS = frozenset(
    {
        "backup_enabled",
        "block_size",
        "connection_pool_size",
        "connection_timeout",
        "failover",
        "health_check_interval",
        "max_history",
        "port",
        "priority",
        "replicate_to",
        "replication_factor",
        "timeout_seconds",
    }
)
"""The keys whose values a `repr` shows. Any other may hold what a `${NAME}` was replaced by."""

_QUOTED = re.compile(r"(Invalid enum value) .*?(?=( - at `|$))", re.DOTALL)
"""Where msgspec quotes the value that it refuses, which may be a secret in the wrong place."""


class Settings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The keys of a backend, as `storage_config` has them under its name."""

    priority: int
    """The lowest number is the one that `auto` takes."""
    timeout_seconds: float = 30.0
    """After so long without an answer it is given up."""
    health_check_interval: float = 30.0
    """Seconds for which one that failed is left alone."""
    failover: bool = False
    """Whether others are used when it fails although it was chosen by name; under `auto` they are."""
    replicate_to: list[str] = []
    """Names of further backends that every batch is copied to."""

    @classmethod
    def of(cls, keys: Any, where: str) -> Self:
        """The settings that `keys`, found at `where`, are. Raises `ConfigError`."""
        try:
            # Not strict: what comes from the environment is text, a port too.
            return msgspec.convert(keys, cls, strict=False)
        except msgspec.ValidationError as error:
            reason = _QUOTED.sub(r"\1", str(error))
            known = ", ".join(cls.__struct_fields__)
            raise ConfigError(f"{where}: {reason}; its keys are {known}.") from None

    def place(self) -> str:
        """Where it is, without secrets."""
        raise NotImplementedError

    def open(self) -> Backend:
        """The storage itself. Raises `ConfigError`, `UsageError` or `StorageError`."""
        raise NotImplementedError

    def unusable(self) -> str | None:
        """Why `auto` passes it over, where its code cannot be loaded; None where it can."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value}' for key, value in self._shown())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return list(self._shown())

    def _shown(self) -> Iterator[tuple[str, Any]]:
        for key in self.__struct_fields__:
            yield key, getattr(self, key) if key in HARMLESS else MASK
