"""What every engine can do, and the one that is always there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from resources.backend import Backend

T = TypeVar("T")
R = TypeVar("R")

LOCAL = "local"


class Engine(Protocol):
    """Workers that have a lake each, all of them the same one."""

    @property
    def name(self) -> str:
        """As errors and metadata call it."""

    @property
    def at_once(self) -> int:
        """How many tasks it works on at a time."""

    def map(self, function: Callable[[Backend, T], R], tasks: Iterable[T]) -> Iterator[R]:
        """What `function` returns, given the lake, for each of `tasks`, in their order.

        `tasks` is drawn from as the work goes on. Raises what `function` raised for the first task
        that failed, and `EngineError` where the engine itself did.
        """


@dataclass(frozen=True, slots=True)
class Local:
    """This process, one task after the other."""

    lake: Backend
    name: str = LOCAL
    at_once: int = 1

    def map(self, function: Callable[[Backend, T], R], tasks: Iterable[T]) -> Iterator[R]:
        return (function(self.lake, task) for task in tasks)
