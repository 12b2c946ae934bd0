"""A storage named in a few characters, where a command needs more than one of them.

results/lake                            a folder
issues.json                             an old history of the plugin
s3://team/issues                        the URL of any fsspec storage
config.yaml                             the backend that a configuration file uses
config.yaml#postgresql                  one of the backends in it
config.yaml#database_factory.sqlite     one of the databases of a factory
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from resources.backends.database_factory import DatabaseFactory
from resources.config import Configured, active, configuration, configured
from resources.errors import ConfigError

CONFIGURATIONS = (".yaml", ".yml", ".json")
"""What the name of a configuration file ends in."""


def named(text: str) -> Configured:
    """The storage that `text` names. Raises `ConfigError`."""
    path, mark, name = text.rpartition("#")
    if not mark:
        path = text
    if "://" in text or os.path.isdir(text) or not path.lower().endswith(CONFIGURATIONS) or _history(text):
        return active(configured(configuration(text)))
    document = configuration(config=path)
    return _named_in(document, path, name) if mark else active(configured(document))


def _history(path: str) -> bool:
    """Whether the file is JSON, and no configuration: it can only be an old history of the plugin."""
    try:
        members = msgspec.json.decode(Path(path).read_bytes(), type=dict[str, msgspec.Raw])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return not members.keys() & {"storage_backend", "storage_config"}


def _named_in(document: dict[str, Any], path: str, name: str) -> Configured:
    given = document.get("storage_config") or {}
    if not isinstance(given, dict):
        raise ConfigError(f"storage_config in {path} must map the names of backends to their keys.")
    chosen = name if name in given else name.partition(".")[0]
    if chosen not in given:
        known = ", ".join(map(str, given)) or "none"
        raise ConfigError(f"{path} has no backend {name!r} under storage_config; it has {known}.")
    # Alone, so that no variable is needed that another one names.
    found = active(configured({"storage_backend": chosen, "storage_config": {chosen: given[chosen]}}))
    if chosen == name:
        return found
    member = name.partition(".")[2]
    members = found.settings.members() if isinstance(found.settings, DatabaseFactory) else {}
    if member not in members:
        known = ", ".join(f"{chosen}.{one}" for one in members) or "none"
        raise ConfigError(f"{path} has no backend {name!r}: of the databases of a factory it has {known}.")
    return Configured(name, members[member], True)
