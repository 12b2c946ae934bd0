"""What every configured backend takes, and how its secrets stay out of sight."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Self

import msgspec

from resources.encryption import Key
from resources.errors import ConfigError
from resources.secrets import MASK

if TYPE_CHECKING:
    from resources.backend import Backend
    from resources.files import Files
    from resources.lake import Lake

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]

MaxHistory = Annotated[int, msgspec.Meta(ge=0)]

DEADLINE: Seconds = 60.0
"""How long a storage may leave a call without an answer where nothing is configured."""

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
    timeout_seconds: float | None = DEADLINE
    """After so long without an answer it is given up; None: never."""
    health_check_interval: float = 30.0
    """Seconds for which one that failed is left alone."""
    failover: bool = False
    """Whether others are used when it fails although it was chosen by name; under `auto` they are."""
    max_history: MaxHistory = 0
    """The newest runs that retention leaves; 0: all."""
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

    def free_bytes(self) -> int | None:
        """How much room it has left, where that can be known."""
        return None

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


class LakeSettings(Settings, kw_only=True):
    """The keys of every backend that is a lake."""

    encryption_key: str | None = None
    """32 bytes as base64 or hex: all the lake's Parquet files are encrypted with it. See `Key`."""

    def __post_init__(self) -> None:
        self._key()  # which says what is wrong with it

    def _key(self) -> Key | None:
        return None if self.encryption_key is None else Key.of(self.encryption_key)

    def lake(self, files: Files, history: str | None = None) -> Lake:
        """The lake in `files`, into which belong the runs of the file `history`."""
        from resources.lake import Lake

        return Lake(files, self._key(), history)
