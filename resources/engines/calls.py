"""One task on its way to a worker and back: the same for every engine."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from resources.backend import Backend
from resources.engines.reference import Reference
from resources.errors import EngineError, IssuelakeError


@dataclass(frozen=True, slots=True, repr=False)
class Call:
    """What a worker is to do. It prints as nothing but its name: engines log what they are given."""

    function: Callable[[Backend, Any], Any]
    lake: Reference
    task: Any
    version: str

    def __repr__(self) -> str:
        return f"Call({self.function.__name__})"


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What came of a call: what the function returned, or the error that it raised."""

    value: Any = None
    error: Exception | None = None

    def get(self) -> Any:
        """Raises the error, if there is one."""
        if self.error is not None:
            raise self.error
        return self.value


def perform(call: Call) -> Answer:
    """Do on a worker what is called for.

    An error is an answer: an engine would try again, which mends no mistake, and quote what it was given.
    """
    if call.version != own_version():
        return Answer(
            error=EngineError(
                f"The worker on {socket.gethostname()} runs issuelake {own_version()}, this process"
                f" {call.version}: install the same version on both."
            )
        )
    try:
        return Answer(call.function(call.lake.open(), call.task))
    except IssuelakeError as error:
        error.args = (f"On the worker {socket.gethostname()}: {error}",)
        return Answer(error=error)
    except Exception as error:  # whatever it is, it is the caller's to handle
        return Answer(error=error)


def own_version() -> str:
    try:
        return version("issuelake")
    except PackageNotFoundError:  # on the path, and not installed
        return "unknown"
