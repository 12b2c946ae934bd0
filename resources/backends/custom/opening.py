"""A custom backend, made from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resources.backend import Backend
from resources.backends.custom.loading import load
from resources.errors import ConfigError, IssuelakeError, StorageError
from resources.secrets import secrets_in, told

if TYPE_CHECKING:
    from resources.backends.custom import CustomBackend


def opened(settings: CustomBackend) -> Backend:
    """The backend itself. Raises `ConfigError`, `UsageError` or `StorageError`."""
    loaded = load(settings.plugin_name)
    if loaded.backend is None:
        from resources.backends.custom.plugpipe import PlugPipe

        assert loaded.process is not None
        return PlugPipe(loaded.process, settings)
    if settings.health_check is not None:
        raise ConfigError(
            f"health_check is for PlugPipe plugins; {settings.plugin_name} is a class, which has a check of"
            " its own."
        )
    try:
        return loaded.backend(**settings.config)
    except IssuelakeError:
        raise
    except Exception as error:
        # Those of the system, such as a refused connection, may be others the next time.
        kind = StorageError if isinstance(error, OSError) else ConfigError
        reason = told(error, secrets_in(settings.config))
        raise kind(f"{settings.plugin_name} cannot be opened with its config: {reason}.") from None
