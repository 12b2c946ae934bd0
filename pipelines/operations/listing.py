"""Every backend there is: those that are configured, those that could be, and why one cannot be used."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, version

import msgspec

from resources.backend import Backend
from resources.backends import BACKENDS, settings_of
from resources.backends.custom import CustomBackend
from resources.backends.custom.loading import BUILT_IN, installed, load
from resources.backends.drivers import missing_extra
from resources.config import Configured
from resources.deadline import begin
from resources.errors import IssuelakeError
from resources.secrets import scrubbed, told

DEADLINE = 10.0
"""Seconds within which a backend has to answer."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One backend. What was not looked at, because it is not configured, is None."""

    name: str
    kind: str
    """`built-in`, `custom` (configured under `custom_backends`) or `plugin` (to be named there)."""
    installed: bool = True
    configured: bool = False
    active: bool = False
    priority: int | None = None
    plugin_name: str | None = None
    url: str | None = None
    reachable: bool | None = None
    """Whether it can be read."""
    healthy: bool | None = None
    """Whether what is written can be read back and removed."""
    latency_ms: float | None = None
    install: str | None = None
    """The command that brings what is missing."""
    reason: str | None = None
    """Why it cannot be used."""
    offered_by: str | None = None
    """The package that brings a plugin."""


def listing(backends: Sequence[Configured], seconds: float = DEADLINE) -> list[Listed]:
    """The configured `backends`, then whatever else could be; looked at side by side."""
    looked = [begin(_looking(backend)) for backend in backends]
    free = {name: point for name, point in installed().items() if name not in BUILT_IN}
    loaded = {name: begin(_loading(name, point)) for name, point in free.items()}
    end = time.monotonic() + seconds
    names = {backend.name for backend in backends}
    answers = [
        _answer(future, end, seconds, _configured(b)) for b, future in zip(backends, looked, strict=True)
    ]
    return [
        *_with_the_one_in_use(backends, answers),
        *(_built_in(name) for name in BACKENDS if name not in names),
        *(_plugin(name, f"issuelake {version('issuelake')}") for name in BUILT_IN),
        *(_answer(loaded[name], end, seconds, _offered(name, point)) for name, point in free.items()),
    ]


def _with_the_one_in_use(backends: Sequence[Configured], answers: Sequence[Listed]) -> list[Listed]:
    """Where others stand in, the first that is well is in use."""
    candidates = [n for n, backend in enumerate(backends) if backend.active or backend.fallback]
    used = next((n for n in candidates if answers[n].healthy), candidates[0])
    return [replace(answer, active=n == used) for n, answer in enumerate(answers)]


def _looking(backend: Configured) -> Callable[[], Listed]:
    def look() -> Listed:
        listed = _configured(backend)
        try:
            storage = backend.open().backend
            checked = storage.check()
        except Exception as error:  # its driver is missing, say; custom ones raise what they like
            said = str(error) if isinstance(error, IssuelakeError) else told(error, frozenset())
            return replace(listed, reachable=False, healthy=False, reason=scrubbed(said, backend.settings))
        reason = None if checked.error is None else scrubbed(checked.error, backend.settings)
        listed = replace(listed, healthy=checked.healthy, latency_ms=checked.latency_ms, reason=reason)
        return replace(listed, reachable=checked.healthy or _can_be_read(storage))

    return look


def _can_be_read(storage: Backend) -> bool:
    try:
        storage.days()
    except Exception:  # what is wrong is known already
        return False
    return True


def _loading(name: str, point: EntryPoint) -> Callable[[], Listed]:
    def look() -> Listed:
        try:
            load(name)
        except IssuelakeError as error:
            return replace(_offered(name, point), installed=False, reason=str(error))
        return _offered(name, point)

    return look


def _answer(future: Future[Listed], end: float, seconds: float, otherwise: Listed) -> Listed:
    try:
        return future.result(max(0.0, end - time.monotonic()))
    except TimeoutError:
        reason = f"There is no answer within {seconds:g} s."
        return replace(otherwise, reachable=False, healthy=False, reason=reason)


def _configured(backend: Configured) -> Listed:
    settings = backend.settings
    custom = isinstance(settings, CustomBackend)
    listed = Listed(
        backend.name,
        "custom" if custom else "built-in",
        configured=True,
        active=backend.active,
        priority=settings.priority,
        plugin_name=settings.plugin_name if isinstance(settings, CustomBackend) else None,
        url=_place(backend),
    )
    if custom:
        return replace(listed, installed=settings.unusable() is None)
    return _with_extra(listed)


def _place(backend: Configured) -> str | None:
    try:
        return backend.settings.place()
    except IssuelakeError:  # which the check will tell
        return None


def _built_in(name: str) -> Listed:
    return _with_extra(Listed(name, "built-in", priority=_default_priority(settings_of(name))))


def _with_extra(listed: Listed) -> Listed:
    extra = missing_extra(listed.name)
    if extra is None:
        return listed
    return replace(
        listed,
        installed=False,
        install=f"pip install 'issuelake[{extra}]'",
        reason=f"{listed.name} needs a driver that is not installed.",
    )


def _offered(name: str, point: EntryPoint) -> Listed:
    return _plugin(name, f"{point.dist.name} {point.dist.version}" if point.dist else None)


def _plugin(name: str, package: str | None) -> Listed:
    priority = _default_priority(CustomBackend)
    return Listed(name, "plugin", priority=priority, plugin_name=name, offered_by=package)


def _default_priority(settings: type[msgspec.Struct]) -> int:
    [default] = [f.default for f in msgspec.structs.fields(settings) if f.name == "priority"]
    return int(default)
