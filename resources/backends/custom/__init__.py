"""Backends that are not built in, as `storage_config.custom_backends` has them by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from resources.backends.settings import Settings
from resources.errors import ConfigError, IssuelakeError

if TYPE_CHECKING:
    from resources.backend import Backend

CUSTOM_BACKENDS = "custom_backends"
"""The key of `storage_config` under which they stand."""


class HealthCheck(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How a PlugPipe plugin is asked whether it is well."""

    operation: str = "get_health_status"


class CustomBackend(Settings, kw_only=True):
    """What `plugin_name` names: memory, fault_injection, an installed entry point of the group
    `issuelake.storage`, `package.module:Class`, or a PlugPipe plugin. `config` is handed on to it."""

    plugin_name: str
    health_check: HealthCheck | None = None
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    priority: int = 5

    def __post_init__(self) -> None:
        if not self.plugin_name:
            raise ValueError("plugin_name is empty")

    def place(self) -> str:
        return self.plugin_name

    def open(self) -> Backend:
        from resources.backends.custom.opening import opened

        return opened(self)

    def unusable(self) -> str | None:
        from resources.backends.custom.loading import load

        try:
            load(self.plugin_name)
        except IssuelakeError as error:
            return str(error)
        return None


def custom_keys(given: Mapping[str, Any], taken: Mapping[str, Any]) -> dict[str, Any]:
    """What `storage_config` has under `custom_backends`, by name. Raises `ConfigError`.

    `taken` are names that a custom backend cannot have.
    """
    custom = given.get(CUSTOM_BACKENDS)
    if custom is None:
        return {}
    if not isinstance(custom, dict):
        raise ConfigError(f"storage_config.{CUSTOM_BACKENDS} must map names to plugin_name and its config.")
    for name in custom:
        if not isinstance(name, str) or not name.isprintable() or not name.strip():
            raise ConfigError(f"storage_config.{CUSTOM_BACKENDS}: {name!r} is not a name.")
        if name in taken:
            raise ConfigError(
                f"storage_config.{CUSTOM_BACKENDS}.{name} has the name of a built-in backend: rename it."
            )
    return custom


def only_installed(given: Any) -> None:
    """Refuse a `storage_config` of unknown origin that has code imported which nobody has installed for that.

    Raises `ConfigError`; what is not well-formed is left for others to refuse.
    """
    custom = given.get(CUSTOM_BACKENDS) if isinstance(given, Mapping) else None
    if not custom:
        return
    from resources.backends.custom.loading import is_registered

    for name, keys in custom.items() if isinstance(custom, Mapping) else ():
        plugin = keys.get("plugin_name") if isinstance(keys, Mapping) else None
        if isinstance(plugin, str) and not is_registered(plugin):
            raise ConfigError(
                f"storage_config.{CUSTOM_BACKENDS}.{name}: an operation document does not have code imported"
                f" (plugin_name {plugin!r}); put it in a configuration file, or install it as an entry point"
                " of the group issuelake.storage."
            )
