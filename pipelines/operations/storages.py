"""Storages that stay open from one operation to the next.

Opening one costs a connection, and what it has fetched and looked up so far. Lakes take calls from
many threads at once, so all operations with the same configuration share one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import msgspec

from pipelines.opening import kept_open
from resources.config import Configured, Opened, Storage
from resources.errors import ConfigError

KEPT = 32
"""Storages that stay open; of more the one that was not asked for the longest is let go."""

_open: dict[bytes, Opened] = {}
_lock = threading.Lock()


def opened(backends: Sequence[Configured]) -> Storage:
    """The storage that `backends` make, for one operation. Raises `UsageError` or `StorageError`."""
    return kept(backends).begin()


def kept(backends: Sequence[Configured]) -> Opened:
    """What stays open of `backends`. Raises `ConfigError`."""
    key = _key(backends)
    with _lock:
        _open[key] = found = _open.pop(key, None) or kept_open(backends)
        while len(_open) > KEPT:
            del _open[next(iter(_open))]
    return found


def forget(backends: Sequence[Configured]) -> None:
    """Open the storage anew next time: a connection that failed may be gone for good.

    Of several to choose from each looks after itself, and what is known of them is worth keeping.
    """
    if kept(backends).chain is None:
        with _lock:
            _open.pop(_key(backends), None)


def _key(backends: Sequence[Configured]) -> bytes:
    told = [[backend.name, backend.active, backend.fallback, backend.settings] for backend in backends]
    try:
        # Relative paths mean another folder after a change of directory; a fork shares no connection.
        return msgspec.json.encode([os.getpid(), os.getcwd(), told])
    except (TypeError, ValueError) as error:
        names = ", ".join(backend.name for backend in backends)
        raise ConfigError(f"storage_config ({names}) must hold plain JSON values: {error}.") from None
