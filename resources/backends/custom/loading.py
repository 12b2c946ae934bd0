"""From `plugin_name` to the code that it names."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from resources.backend import Backend
from resources.errors import ConfigError

GROUP = "issuelake.storage"
"""The group of entry points by which installed packages offer backends."""

BUILT_IN = {
    "memory": "resources.backends.custom.memory:Memory",
    "fault_injection": "resources.backends.custom.faults:FaultInjection",
}

_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?", re.ASCII)
_FUNCTION = "process"
_ENTRY_FILE, _MANIFEST = "main.py", "plug.yaml"
_loading = threading.RLock()


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a `plugin_name` turned out to be: one of the two is there."""

    backend: type[Backend] | None = None
    process: Callable[..., Any] | None = None


def installed() -> dict[str, EntryPoint]:
    """The backends that installed packages offer, by name; nothing is imported."""
    return {point.name: point for point in entry_points(group=GROUP)}


def is_registered(plugin_name: str) -> bool:
    """Whether it is built in, or somebody has installed it as a backend of issuelake."""
    return plugin_name in BUILT_IN or plugin_name in installed()


def load(plugin_name: str) -> Loaded:
    """The class or the function that `plugin_name` names. Raises `ConfigError`, which says why not."""
    try:
        with _loading:
            found = _found(plugin_name)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"plugin_name {plugin_name!r} cannot be loaded: {reason}.") from None
    if isinstance(found, ModuleType) and not callable(found := getattr(found, _FUNCTION, None)):
        raise ConfigError(
            f"plugin_name {plugin_name!r} is a module without a function {_FUNCTION}: name the class in it as"
            f" {plugin_name}:Class, or the module of a PlugPipe plugin."
        )
    if inspect.isclass(found):
        return Loaded(backend=_checked(plugin_name, found))
    if callable(found):
        return Loaded(process=found)
    raise ConfigError(f"plugin_name {plugin_name!r} is neither a class nor a function {_FUNCTION}.")


def _found(plugin_name: str) -> Any:
    if plugin_name in BUILT_IN:
        return _imported(BUILT_IN[plugin_name])
    if (point := installed().get(plugin_name)) is not None:
        return point.load()
    path = Path(plugin_name).expanduser()
    if os.sep in plugin_name or path.suffix == ".py" or plugin_name in (".", ".."):
        return _from_files(path)
    if not _IMPORT_PATH.fullmatch(plugin_name):
        raise _unknown(plugin_name)
    try:
        return _imported(plugin_name)
    except ModuleNotFoundError as error:
        if plugin_name == error.name and "." not in plugin_name:
            raise _unknown(plugin_name) from None
        raise


def _unknown(plugin_name: str) -> ConfigError:
    known = ", ".join(sorted({*BUILT_IN, *installed()}))
    return ConfigError(
        f"plugin_name {plugin_name!r} is not installed; known are {known}. An import path"
        " (package.module:Class) or the folder of a PlugPipe plugin will do too."
    )


def _imported(path: str) -> Any:
    module, _, attributes = path.partition(":")
    found: Any = importlib.import_module(module)
    for attribute in filter(None, attributes.split(".")):
        found = getattr(found, attribute)
    return found


def _from_files(path: Path) -> Any:
    """The function of the PlugPipe plugin in a folder, or in a file of Python."""
    file, function = (path, _FUNCTION) if path.suffix == ".py" else _manifest(path)
    if not file.is_file():
        raise ConfigError(f"plugin_name {str(path)!r} is no PlugPipe plugin: {file} is not there.")
    resolved = file.resolve()
    name = f"issuelake_plugin_{sha256(str(resolved).encode()).hexdigest()[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, resolved)
        if spec is None or spec.loader is None:
            raise ConfigError(f"plugin_name {str(path)!r}: {file} is not a file of Python.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return getattr(sys.modules[name], function)


def _manifest(folder: Path) -> tuple[Path, str]:
    """The file and the function that a plugin's manifest names."""
    manifest = folder / _MANIFEST
    if not manifest.is_file():
        return folder / _ENTRY_FILE, _FUNCTION
    import yaml

    said = yaml.safe_load(manifest.read_text("utf-8"))
    said = said if isinstance(said, dict) else {}
    file = folder / str(said.get("entrypoint", _ENTRY_FILE))
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{manifest} names an entrypoint outside of its folder.")
    return file, str(said.get("function", _FUNCTION))


def _checked(plugin_name: str, found: type) -> type[Backend]:
    if not issubclass(found, Backend):
        raise ConfigError(
            f"plugin_name {plugin_name!r} is a class that does not derive from resources.backend.Backend."
        )
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise ConfigError(f"plugin_name {plugin_name!r} is a class that lacks {', '.join(missing)}.")
    return found
