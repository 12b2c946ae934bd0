"""Which storage to use: from `--storage`, a configuration file, or nothing at all.

A configuration file is YAML or JSON with the two keys of an operation document:

    storage_backend: fsspec
    storage_config:
      fsspec:
        url: s3://bucket/issues
        storage_options: {key: "${S3_KEY}", secret: "${S3_SECRET}"}

`${NAME}` and `${NAME:-default}` are read from the environment when the storage is opened.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resources.backend import Backend
from resources.backends import BACKENDS, settings_of
from resources.backends.settings import Settings
from resources.errors import ConfigError, IssuelakeError
from resources.secrets import scrubbed

AUTO = "auto"
LOCAL_FILE = "local_file"
FSSPEC = "fsspec"
ENVIRONMENT_VARIABLE = "ISSUELAKE_CONFIG"

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True)
class Storage:
    """A configured storage: what the configuration calls it, and what holds the runs and issues."""

    name: str
    backend: Backend


@dataclass(frozen=True)
class Configured:
    """A backend as a document configures it; `active` is the one that is used."""

    name: str
    settings: Settings
    active: bool

    def open(self) -> Storage:
        """The storage itself. Raises `ConfigError`, `UsageError` or `StorageError`."""
        try:
            return Storage(self.name, self.settings.open())
        except IssuelakeError as error:
            raise type(error)(scrubbed(str(error), self.settings)) from None


def open_storage(storage: str | None = None, config: str | Path | None = None) -> Storage:
    """The storage that `storage` (URL or folder) or the file `config` names.

    Without either: the file that `ISSUELAKE_CONFIG` names, else the folder `lake` here. Raises
    `ConfigError`.
    """
    return active(configured(configuration(storage, config))).open()


def configuration(storage: str | None = None, config: str | Path | None = None) -> dict[str, Any]:
    """What `open_storage` opens, as a document with `storage_backend` and `storage_config`."""
    if storage is not None and config is not None:
        raise ConfigError("Give --storage or --config, not both.")
    if storage is not None:
        remote = "://" in storage and not storage.startswith("file://")
        name, key = (FSSPEC, "url") if remote else (LOCAL_FILE, "storage_path")
        return {"storage_backend": name, "storage_config": {name: {key: storage}}}
    path = config or os.environ.get(ENVIRONMENT_VARIABLE)
    return _read(Path(path)) if path else {}


def configured(document: dict[str, Any]) -> list[Configured]:
    """The backends of an operation document or configuration file, the lowest priority number first.

    At least one: `local_file` where nothing is configured. Raises `ConfigError`.
    """
    unknown = set(document) - {"storage_backend", "storage_config"}
    if unknown:
        raise ConfigError(
            f"Unknown key {sorted(unknown)[0]!r}; a configuration has storage_backend and storage_config."
        )
    chosen = document.get("storage_backend") or AUTO
    given = document.get("storage_config") or {}
    if not isinstance(given, dict):
        raise ConfigError("storage_config must map the names of backends to their keys.")
    for name in [*given, *([] if chosen == AUTO else [chosen])]:
        if not isinstance(name, str) or name not in BACKENDS:
            raise ConfigError(f"Unknown storage backend {name!r}; known are {AUTO}, {', '.join(BACKENDS)}.")
    settings = {name: _settings(name, keys) for name, keys in given.items()}
    if chosen == AUTO:
        chosen = min(settings, key=lambda name: settings[name].priority, default=LOCAL_FILE)
    if chosen not in settings:
        settings[chosen] = _settings(chosen, {})
    ordered = sorted(settings, key=lambda name: settings[name].priority)
    return [Configured(name, settings[name], name == chosen) for name in ordered]


def active(backends: list[Configured]) -> Configured:
    """The one of `backends` that is used."""
    return next(backend for backend in backends if backend.active)


def _settings(name: str, keys: Any) -> Settings:
    where = f"storage_config.{name}"
    return settings_of(name).of(_expanded(keys if keys is not None else {}, where), where)


def _expanded(value: Any, where: str) -> Any:
    """`value` with the environment's variables put in."""
    if isinstance(value, dict):
        return {key: _expanded(member, f"{where}.{key}") for key, member in value.items()}
    if isinstance(value, list):
        return [_expanded(member, f"{where}[{i}]") for i, member in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        name, default = match.groups()
        if (found := os.environ.get(name, default)) is None:
            raise ConfigError(f"{where} needs the environment variable {name}, which is not set.")
        return found

    return _VARIABLE.sub(variable, value)


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"Could not read the configuration {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"The configuration {path} is not UTF-8 (byte {error.start}).") from None
    except yaml.YAMLError as error:
        # The parser quotes the line, which may hold a secret, so only the place is told.
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ConfigError(f"The configuration {path} is not YAML or JSON{where}.") from None
    if not isinstance(document, dict):
        raise ConfigError(
            f"The configuration {path} must be a mapping with storage_backend and storage_config."
        )
    return document
