"""One of several databases: the primary, or while it is not well the first fallback that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from resources.backends.settings import Seconds, Settings
from resources.errors import ConfigError

if TYPE_CHECKING:
    from resources.backend import Backend

DATABASES = ("sqlite", "postgresql", "mysql", "mongodb")
"""The backends that can stand under `databases`."""

_TABLE_KEYS = ("table_name", "collection")
"""What the key is called under which a database keeps its tables."""


class FactoryConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which database is used when. Without `primary_database` the first one that is written down is it."""

    primary_database: str | None = None
    enable_failover: bool = True
    fallback_databases: list[str] = []
    health_check_interval: float = 60
    """Seconds for which a database is taken to be as it was found."""


class DatabaseFactory(Settings, kw_only=True):
    """Several databases, of which one is used. `table_name`, `timeout_seconds` and `max_history` hold for
    those that give none themselves."""

    databases: dict[str, dict[str, Any]]
    factory_config: FactoryConfig = msgspec.field(default_factory=FactoryConfig)
    table_name: str | None = None
    timeout_seconds: Seconds | None = None
    priority: int = 1

    def __post_init__(self) -> None:
        self.members()  # which says what is wrong with them

    def members(self) -> dict[str, Settings]:
        """The databases by name, in the order in which they are tried. Raises `ConfigError`."""
        if not self.databases:
            raise ConfigError(f"database_factory.databases is empty; give one of {', '.join(DATABASES)}.")
        settings = {name: self._settings(name, keys) for name, keys in self.databases.items()}
        config = self.factory_config
        primary = config.primary_database or next(iter(settings))
        order = [primary, *(config.fallback_databases if config.enable_failover else ())]
        for name in order:
            if name not in settings:
                raise ConfigError(
                    f"database_factory.factory_config names {name!r}, which is not in databases:"
                    f" they are {', '.join(settings)}."
                )
        return {name: settings[name] for name in order}

    def place(self) -> str:
        return next(iter(self.members().values())).place()

    def open(self) -> Backend:
        from resources.selection.opening import factory_alone

        return factory_alone(self)

    def _settings(self, name: str, keys: dict[str, Any]) -> Settings:
        from resources.backends import BACKENDS, settings_of

        known = [database for database in DATABASES if database in BACKENDS]
        where = f"database_factory.databases.{name}"
        if name not in known:
            raise ConfigError(f"{where} is not a database; known are {', '.join(known)}.")
        kind = settings_of(name)
        takes = [key for key in _TABLE_KEYS if key in kind.__struct_fields__]
        given: dict[str, Any] = {
            "health_check_interval": self.factory_config.health_check_interval,
            "max_history": self.max_history,
        }
        if self.table_name is not None:
            given |= dict.fromkeys(takes, self.table_name)
        if self.timeout_seconds is not None:
            given["timeout_seconds"] = self.timeout_seconds
        return kind.of(given | keys, where)
