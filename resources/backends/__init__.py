"""The storages that can be configured, by name; what one needs is imported when it is used."""

from __future__ import annotations

from importlib import import_module

from resources.backends.settings import Settings

BACKENDS = {
    "local_file": "resources.backends.lakes:LocalFile",
    "fsspec": "resources.backends.lakes:Fsspec",
    "sqlite": "resources.backends.sql.settings:Sqlite",
    "postgresql": "resources.backends.sql.settings:Postgresql",
    "mysql": "resources.backends.sql.settings:Mysql",
}
"""Where the settings of each are."""


def settings_of(name: str) -> type[Settings]:
    """The keys that the backend `name` takes."""
    module, _, kind = BACKENDS[name].partition(":")
    found: type[Settings] = getattr(import_module(module), kind)
    return found
