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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.backend import Backend
from resources.backends import BACKENDS, settings_of
from resources.backends.custom import CUSTOM_BACKENDS, CustomBackend, custom_keys
from resources.backends.settings import Settings
from resources.errors import ConfigError, IssuelakeError
from resources.secrets import scrubbed

if TYPE_CHECKING:
    from resources.selection.chain import Chain
    from resources.selection.member import Member
    from resources.selection.trace import Trace

AUTO = "auto"
LOCAL_FILE = "local_file"
DATABASE_FACTORY = "database_factory"
FSSPEC = "fsspec"
ENVIRONMENT_VARIABLE = "ISSUELAKE_CONFIG"

KEEPS_ALL = {"max_history": 0}
"""What a folder has that nobody has configured as a backend: it is all there is, so nothing of it goes."""

Prepare = Callable[[Backend], object]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True)
class Storage:
    """A configured storage: what the configuration calls it, and what holds the runs and issues.

    `trace` says which backends were tried, where there are several to choose from.
    """

    name: str
    backend: Backend
    trace: Trace | None = None

    @property
    def used(self) -> str:
        """What the backend that answered last is called."""
        return self.trace.used if self.trace else self.name


@dataclass(frozen=True)
class Configured:
    """A backend as a document configures it.

    `active` is the one to use; `fallback` are those that are used when it fails.
    """

    name: str
    settings: Settings
    active: bool
    fallback: bool = False

    def open(self) -> Storage:
        """The storage itself. Raises `ConfigError`, `UsageError` or `StorageError`."""
        try:
            backend = self.settings.open()
            backend.name = self.name
            return Storage(self.name, backend)
        except IssuelakeError as error:
            raise type(error)(scrubbed(str(error), self.settings)) from None


def open_storage(storage: str | None = None, config: str | Path | None = None) -> Storage:
    """The storage that `storage` (URL or folder) or the file `config` names.

    Without either: the file that `ISSUELAKE_CONFIG` names, else the folder `lake` here. Raises
    `ConfigError`.
    """
    return Opened(configured(configuration(storage, config))).begin()


class Opened:
    """What stays open of a configuration from one operation to the next."""

    def __init__(self, backends: Sequence[Configured], prepare: Prepare | None = None) -> None:
        """`prepare` is called with each backend when it has been opened."""
        self._backends = backends
        self._prepare = prepare
        self.active = active(backends)
        """What is used where there is one backend alone, and what is preferred of several."""
        self.chain: Chain | None = None
        """The backends to choose from, where there are several."""
        if self.active.name == DATABASE_FACTORY or any(backend.fallback for backend in backends):
            from resources.selection.opening import chain_of

            self.chain = chain_of(backends, prepare)

    @cached_property
    def members(self) -> list[Member]:
        """Every backend that is configured, those of the chain first."""
        from resources.selection.opening import apart

        return [
            *(self.chain.members if self.chain else ()),
            *apart(self._backends, self.chain, self._prepare),
        ]

    def begin(self) -> Storage:
        """The storage for one operation. Raises `ConfigError`, `UsageError` or `StorageError`."""
        if self.chain is None:
            return self._storage
        from resources.selection.selected import Selected
        from resources.selection.trace import Trace

        preferred = self.chain.preferred.configured_as
        trace = Trace(preferred)
        return Storage(preferred, Selected(self.chain, trace), trace)

    @cached_property
    def _storage(self) -> Storage:
        storage = self.active.open()
        if self._prepare is not None:
            self._prepare(storage.backend)
        return storage


def configuration(storage: str | None = None, config: str | Path | None = None) -> dict[str, Any]:
    """What `open_storage` opens, as a document with `storage_backend` and `storage_config`."""
    if storage is not None and config is not None:
        raise ConfigError("Give --storage or --config, not both.")
    if storage is not None:
        remote = "://" in storage and not storage.startswith("file://")
        name, key = (FSSPEC, "url") if remote else (LOCAL_FILE, "storage_path")
        keys: dict[str, Any] = {key: storage}
        if name == LOCAL_FILE:
            keys |= KEEPS_ALL
        return {"storage_backend": name, "storage_config": {name: keys}}
    path = config or os.environ.get(ENVIRONMENT_VARIABLE)
    return _read(Path(path)) if path else {}


def configured(document: dict[str, Any]) -> list[Configured]:
    """The backends of an operation document or configuration file, in the order in which they are used.

    That is by priority, `local_file` last; one that is chosen by name comes first. At least one:
    `local_file` where nothing is configured, and where others may fail. Raises `ConfigError`.
    """
    unknown = set(document) - {"storage_backend", "storage_config"}
    if unknown:
        raise ConfigError(
            f"Unknown key {sorted(unknown)[0]!r}; a configuration has storage_backend and storage_config."
        )
    chosen = document.get("storage_backend") or AUTO
    given = document.get("storage_config") or ({} if document else {LOCAL_FILE: KEEPS_ALL})
    if not isinstance(given, dict):
        raise ConfigError("storage_config must map the names of backends to their keys.")
    custom = custom_keys(given, taken={AUTO: None, **BACKENDS})
    known = (AUTO, *BACKENDS, *custom)
    unknown_names = [name for name in given if name not in (*BACKENDS, CUSTOM_BACKENDS)]
    for name in [*unknown_names, *([] if chosen in known else [chosen])]:
        raise ConfigError(f"Unknown storage backend {name!r}; known are {', '.join(known)}.")
    settings: dict[str, Settings] = {}
    for name, keys in given.items():
        if name == CUSTOM_BACKENDS:
            settings |= {own: _custom_settings(own, own_keys) for own, own_keys in custom.items()}
        else:
            settings[name] = _settings(name, keys)
    if chosen != AUTO and chosen not in settings:
        settings[chosen] = _settings(chosen, {})
    several = chosen == AUTO or settings[chosen].failover
    if several and LOCAL_FILE not in settings:
        settings[LOCAL_FILE] = _settings(LOCAL_FILE, {})
    ordered = sorted(settings, key=lambda name: (name != chosen, name == LOCAL_FILE, settings[name].priority))
    replicas = settings[ordered[0]].replicate_to
    for name in ordered:
        for replica in settings[name].replicate_to:
            if replica not in settings or replica == name:
                raise ConfigError(
                    f"storage_config.{name}.replicate_to names {replica!r}, which is not another backend"
                    f" of storage_config: they are {', '.join(settings)}."
                )
    return [
        Configured(name, settings[name], place == 0, place > 0 and (several or name in replicas))
        for place, name in enumerate(ordered)
    ]


def configured_names(document: dict[str, Any]) -> list[str]:
    """The names of the backends of a configuration, as they are called in answers.

    Their keys are not looked at, so no variable need be set. Raises `ConfigError`.
    """
    given = document.get("storage_config") or {}
    if not isinstance(given, dict):
        raise ConfigError("storage_config must map the names of backends to their keys.")
    chosen = document.get("storage_backend") or AUTO
    used = given.get(chosen) if isinstance(chosen, str) else None
    several = chosen == AUTO or (isinstance(used, dict) and used.get("failover"))
    implied = {LOCAL_FILE: None} if several else {chosen: None}
    names = []
    custom = given.get(CUSTOM_BACKENDS)
    named = given | (dict.fromkeys(custom) if isinstance(custom, dict) else {})
    named.pop(CUSTOM_BACKENDS, None)
    for name, keys in (implied | named).items():
        databases = keys.get("databases") if name == DATABASE_FACTORY and isinstance(keys, dict) else None
        names += [f"{name}.{database}" for database in databases] if databases else [str(name)]
    return names


def active(backends: Sequence[Configured]) -> Configured:
    """The one of `backends` that is used."""
    return next(backend for backend in backends if backend.active)


def _settings(name: str, keys: Any) -> Settings:
    where = f"storage_config.{name}"
    return settings_of(name).of(expanded(keys if keys is not None else {}, where), where)


def _custom_settings(name: str, keys: Any) -> Settings:
    where = f"storage_config.{CUSTOM_BACKENDS}.{name}"
    return CustomBackend.of(expanded(keys if keys is not None else {}, where), where)


def expanded(value: Any, where: str) -> Any:
    """`value` with the environment's variables put in. Raises `ConfigError` for one that is not set."""
    if isinstance(value, dict):
        return {key: expanded(member, f"{where}.{key}") for key, member in value.items()}
    if isinstance(value, list):
        return [expanded(member, f"{where}[{i}]") for i, member in enumerate(value)]
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
