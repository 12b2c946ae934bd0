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

import msgspec

from resources.errors import ConfigError
from resources.files import open_files
from resources.lake import Lake

AUTO = "auto"
LOCAL_FILE = "local_file"
FSSPEC = "fsspec"
ENVIRONMENT_VARIABLE = "ISSUELAKE_CONFIG"
DEFAULT_FOLDER = "lake"

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class LocalFile(msgspec.Struct, forbid_unknown_fields=True):
    """A lake in a local folder."""

    storage_path: str = DEFAULT_FOLDER
    priority: int = 99


class Fsspec(msgspec.Struct, forbid_unknown_fields=True):
    """A lake at the URL of any fsspec storage."""

    url: str
    storage_options: dict[str, Any] = {}
    priority: int = 4


BACKENDS: dict[str, type[LocalFile] | type[Fsspec]] = {FSSPEC: Fsspec, LOCAL_FILE: LocalFile}


@dataclass(frozen=True)
class Storage:
    """A configured storage: the name of its backend and the lake on it."""

    backend: str
    lake: Lake


def open_storage(storage: str | None = None, config: str | Path | None = None) -> Storage:
    """The storage that `storage` (URL or folder) or the file `config` names.

    Without either: the file that `ISSUELAKE_CONFIG` names, else the folder `lake` here. Raises
    `ConfigError`.
    """
    if storage is not None and config is not None:
        raise ConfigError("Give --storage or --config, not both.")
    if storage is not None:
        remote = "://" in storage and not storage.startswith("file://")
        return Storage(FSSPEC if remote else LOCAL_FILE, Lake(open_files(storage)))
    path = config or os.environ.get(ENVIRONMENT_VARIABLE)
    return from_document(_read(Path(path)) if path else {})


def from_document(document: dict[str, Any]) -> Storage:
    """The storage that an operation document (or configuration file) asks for."""
    unknown = set(document) - {"storage_backend", "storage_config"}
    if unknown:
        raise ConfigError(
            f"Unknown key {sorted(unknown)[0]!r}; a configuration has storage_backend and storage_config."
        )
    backend = document.get("storage_backend", AUTO)
    configured = document.get("storage_config") or {}
    if not isinstance(configured, dict):
        raise ConfigError("storage_config must map the names of backends to their keys.")
    for name in [*configured, *([] if backend == AUTO else [backend])]:
        if name not in BACKENDS:
            raise ConfigError(f"Unknown storage backend {name!r}; known are {AUTO}, {', '.join(BACKENDS)}.")
    settings = {name: _settings(name, keys) for name, keys in configured.items()}
    if backend == AUTO:
        backend = min(settings, key=lambda name: settings[name].priority, default=LOCAL_FILE)
    chosen = settings[backend] if backend in settings else _settings(backend, {})
    if isinstance(chosen, Fsspec):
        return Storage(backend, Lake(open_files(chosen.url, chosen.storage_options)))
    return Storage(backend, Lake(open_files(chosen.storage_path)))


def _settings(name: str, keys: Any) -> LocalFile | Fsspec:
    where = f"storage_config.{name}"
    expanded = _expanded(keys if keys is not None else {}, where)
    try:
        settings = msgspec.convert(expanded, BACKENDS[name])
    except msgspec.ValidationError as error:
        known = ", ".join(BACKENDS[name].__struct_fields__)
        raise ConfigError(f"{where}: {error}; its keys are {known}.") from None
    if isinstance(settings, LocalFile) and settings.storage_path.endswith(".json"):
        raise ConfigError(
            f"{where}.storage_path names a file; give the folder of a lake, and take an old history in"
            " by splitting it into run files."
        )
    return settings


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
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration {path} is not YAML or JSON: {error}.") from error
    if not isinstance(document, dict):
        raise ConfigError(
            f"The configuration {path} must be a mapping with storage_backend and storage_config."
        )
    return document
