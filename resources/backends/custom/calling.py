"""Calls of a PlugPipe plugin's `process`, which may be a coroutine, hang, or raise anything."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from functools import cache
from typing import Any

import msgspec

from resources.deadline import begin
from resources.errors import StorageError
from resources.secrets import LONGEST, hide, secrets_in, told

Process = Callable[..., Any]


class Refused(StorageError):
    """The plugin has answered, and its answer is that it does not do it."""


class Plugin:
    """A plugin and its configuration. `name` is what errors call it."""

    def __init__(self, process: Process, name: str, config: dict[str, Any], seconds: float) -> None:
        self.name = name
        self._process = process
        self._config = config
        self._seconds = seconds
        self._secrets = secrets_in(config)

    def ask(self, operation: str, **document: Any) -> dict[str, Any]:
        """The answer to an operation document, where it says that all went well. Raises `StorageError`."""
        future = self._called({"operation": operation, **document})
        try:
            answer = msgspec.to_builtins(future.result(self._seconds))
        except Exception as error:  # plugins raise what they like
            if isinstance(error, TimeoutError) and not future.done():
                future.cancel()
                late = f"there is no answer within {self._seconds:g} s"
                raise StorageError(self._failed(operation, late)) from None
            kind = StorageError if isinstance(error, OSError) else Refused
            raise kind(self._failed(operation, told(error, self._secrets))) from None
        if not isinstance(answer, Mapping):
            kind_of = type(answer).__name__
            raise Refused(self._failed(operation, f"the answer is not a mapping but of the type {kind_of}"))
        if answer.get("success") is not True:
            reason = " ".join(str(answer.get("error") or "it does not say why").split())
            reason = hide(reason, self._secrets)[:LONGEST].rstrip(" .")
            raise Refused(self._failed(operation, reason))
        return dict(answer)

    def _called(self, document: dict[str, Any]) -> Future[Any]:
        config = msgspec.to_builtins(self._config)  # a copy: it is the plugin's to change
        if inspect.iscoroutinefunction(self._process):
            return _on_loop(self._process(document, config))
        return begin(lambda: _awaited(self._process(document, config)))

    def _failed(self, operation: str, reason: str) -> str:
        return f"The plugin {self.name} failed at {operation}: {reason}."


def _awaited(answer: Any) -> Any:
    """What a function has answered; where that is awaitable, what comes of it."""

    async def result() -> Any:
        return await answer

    return _on_loop(result()).result() if inspect.isawaitable(answer) else answer


def _on_loop(coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
    """What the coroutine answers. All run on one loop, since what they keep open belongs to a loop."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop(os.getpid()))


@cache
def _loop(process: int) -> asyncio.AbstractEventLoop:  # noqa: ARG001  (a forked child has none of its parent's threads)
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="issuelake-plugins", daemon=True).start()
    return loop
