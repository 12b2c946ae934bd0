"""Storages that stay open from one operation to the next.

Opening one costs a connection, and what it has fetched and looked up so far. Lakes take calls from
many threads at once, so all operations with the same configuration share one.
"""

from __future__ import annotations

import os
import threading

import msgspec

from pipelines.opening import open_configured
from resources.config import Configured, Storage
from resources.errors import ConfigError

KEPT = 32
"""Storages that stay open; of more the one that was not asked for the longest is let go."""

_open: dict[bytes, Storage] = {}
_lock = threading.Lock()


def opened(configured: Configured) -> Storage:
    """The storage that `configured` describes. Raises `UsageError` or `StorageError`."""
    key = _key(configured)
    with _lock:
        if (storage := _open.pop(key, None)) is not None:
            _open[key] = storage
            return storage
    storage = open_configured(configured)
    with _lock:
        storage = _open.setdefault(key, storage)
        while len(_open) > KEPT:
            del _open[next(iter(_open))]
    return storage


def forget(configured: Configured) -> None:
    """Open the storage anew next time: a connection that failed may be gone for good."""
    with _lock:
        _open.pop(_key(configured), None)


def _key(configured: Configured) -> bytes:
    try:
        # Relative paths mean another folder after a change of directory; a fork shares no connection.
        return msgspec.json.encode([os.getpid(), os.getcwd(), configured.name, configured.settings])
    except (TypeError, ValueError) as error:
        raise ConfigError(f"storage_config.{configured.name} must hold plain JSON values: {error}.") from None
