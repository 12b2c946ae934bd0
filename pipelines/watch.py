"""What the sensor of the storages remembers from one look to the next, and what it tells people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class Seen(msgspec.Struct):
    """A backend at the last look: well or not, since when, and what people were told last, and when.

    Moments are seconds since 1970.
    """

    healthy: bool = True
    since: float = 0.0
    told_healthy: bool = True
    told_at: float = 0.0


@dataclass(frozen=True, slots=True)
class News:
    """What is worth telling about a backend."""

    backend: str
    title: str
    body: str


class Watch:
    """What is remembered of all backends, by name; kept in a sensor's cursor."""

    def __init__(self, cursor: str | None) -> None:
        self._seen = msgspec.json.decode(cursor, type=dict[str, Seen]) if cursor else {}

    @property
    def cursor(self) -> str:
        return msgspec.json.encode(self._seen).decode()

    def look(self, backends: Sequence[Mapping[str, Any]], now: float, suppress: float) -> Iterator[News]:
        """What changed since the last look, once; not within `suppress` seconds of the last telling.

        What flaps in that time is told of once, as it is in the end. Say `told` of what reached people.
        """
        names = {backend["name"] for backend in backends}
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        for backend in backends:
            seen = self._seen.setdefault(backend["name"], Seen(since=now))
            if seen.healthy != backend["healthy"]:
                seen.healthy, seen.since = backend["healthy"], now
            if seen.healthy != seen.told_healthy and now - seen.told_at >= suppress:
                yield _news(backend)

    def told(self, backend: str, now: float) -> None:
        seen = self._seen[backend]
        seen.told_healthy, seen.told_at = seen.healthy, now


def _news(backend: Mapping[str, Any]) -> News:
    name = backend["name"]
    if backend["healthy"]:
        owed = backend["owed_batches"]
        rest = f" {owed} batches are owed to it and will be copied now." if owed else ""
        return News(name, f"{name} has recovered", f"{backend['url']} is well again.{rest}")
    return News(name, f"{name} is down", f"{backend['url']}: {backend['last_error']}")


class Told(msgspec.Struct):
    """Which findings people know of, and when was looked; kept in a sensor's cursor."""

    looked_at: float = 0.0
    """Seconds since 1970."""
    critical: list[str] = []
    breached: list[str] = []
    begun: bool = False
    """At the first look everything is old news."""


def fresh(told: Sequence[str], found: Mapping[str, T]) -> list[T]:
    """Those of `found`, by what tells them apart, that nobody was told of."""
    known = set(told)
    return [finding for name, finding in found.items() if name not in known]
