"""Operations beside an event loop: a few threads do the work, the loop stays free."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

WORKERS = 4
"""Operations at a time; the others wait their turn. Each holds the interpreter's lock for
milliseconds now and then, and the event loop has to wait for whoever comes before it."""

_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def process(context: Mapping[str, Any], config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The answer to the operation document in `context`; never raises but `CancelledError`.

    `config` may hold the same keys; those of `context` win, and None counts as absent. Where
    neither says which storage, `ISSUELAKE_CONFIG` does. An operation that has begun is finished even
    if the caller is cancelled meanwhile. Leave the documents as they are until the answer comes.
    """
    loop = asyncio.get_running_loop()
    # Waiting here and not in the pool's queue: handing work to a thread takes the loop tens of
    # microseconds, so a thousand at once would stop it for as many milliseconds.
    async with _turns.setdefault(loop, asyncio.Semaphore(WORKERS)):
        return await loop.run_in_executor(_pool(os.getpid()), _run, context, config)


def _run(context: Mapping[str, Any], config: Mapping[str, Any] | None) -> dict[str, Any]:
    from pipelines.operations.dispatch import run

    # Who gives `config` runs this; who gives `context` may be anybody.
    owned = isinstance(context, Mapping) and context.get("storage_config") is None
    return run(_merged(context, config), owned=owned)


def _merged(context: Any, config: Any) -> Any:
    """Both as one document; what is no mapping is left for the document's own check to refuse."""
    if config is None or not isinstance(context, Mapping):
        return context
    if not isinstance(config, Mapping):
        return config
    return {**config, **{key: value for key, value in context.items() if value is not None}}


@cache
def _pool(process: int) -> ThreadPoolExecutor:  # noqa: ARG001  (a forked child has none of its parent's threads)
    return ThreadPoolExecutor(WORKERS, thread_name_prefix="issuelake")
