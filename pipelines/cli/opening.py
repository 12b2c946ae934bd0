"""Opening a storage for a command; what had to be passed over is told in the end."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

from pipelines import opening
from pipelines.cli.output import safe
from resources.config import Storage, configuration
from resources.engines import Engine, open_engine

_opened: list[Storage] = []


def open_storage(storage: str | None = None, config: str | None = None) -> Storage:
    """The storage of the options `--storage` and `--config`. Raises as `pipelines.opening` does."""
    opened = opening.open_storage(storage, config)
    _opened.append(opened)
    return opened


def opened_engine(
    address: str, opened: Storage, storage: str | None, config: str | None
) -> AbstractContextManager[Engine]:
    """The engine of `--engine`, whose workers have what `opened` is, of the options it was opened by.

    Raises `UsageError` and `EngineError` when it is entered.
    """
    return open_engine(address, configuration(storage, config), opened.backend)


def tell_what_was_passed_over() -> None:
    """Say on standard error which backends were tried in vain, and why."""
    for storage in _opened:
        for attempt in storage.trace.attempts if storage.trace else ():
            if attempt.outcome != "used" or attempt.reason:
                told = f"{safe(attempt.backend)}: {safe(attempt.reason)} ({storage.used} was used)"
                print(f"passed over  {told}", file=sys.stderr)
