"""What every configured backend takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from resources.backend import Backend


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
