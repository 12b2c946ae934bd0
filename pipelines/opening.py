"""Opening a storage for somebody: an old history that lies there is taken over first."""

from __future__ import annotations

from pathlib import Path

from assets.history import take_over
from resources.config import Configured, Storage, active, configuration, configured


def open_storage(storage: str | None = None, config: str | Path | None = None) -> Storage:
    """What `resources.config.open_storage` opens, as `open_configured` opens it. Raises `ConfigError`."""
    return open_configured(active(configured(configuration(storage, config))))


def open_configured(configured: Configured) -> Storage:
    """The storage, with the runs of the old history beside it, if any, in it.

    Raises `ConfigError`, `UsageError` or `StorageError`.
    """
    opened = configured.open()
    take_over(opened.backend)
    return opened
