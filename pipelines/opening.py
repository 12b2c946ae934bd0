"""Opening a storage for somebody: an old history that lies there is taken over first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from assets.history import take_over
from resources.config import Configured, Opened, Storage, configuration, configured


def open_storage(storage: str | None = None, config: str | Path | None = None) -> Storage:
    """The storage that `storage` (URL or folder) or the file `config` names, as `kept_open` opens it.

    Without either: the file that `ISSUELAKE_CONFIG` names, else the folder `lake` here. Raises
    `ConfigError`, `UsageError` or `StorageError`.
    """
    return kept_open(configured(configuration(storage, config))).begin()


def kept_open(backends: Sequence[Configured]) -> Opened:
    """What stays open of `backends`, the runs of an old history beside one of them, if any, in it."""
    return Opened(backends, take_over)


def open_configured(configured: Configured) -> Storage:
    """One storage alone. Raises `ConfigError`, `UsageError` or `StorageError`."""
    return kept_open([configured]).begin()
