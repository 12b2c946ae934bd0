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
    _do_without_pandas()
    opened = opening.open_storage(storage, config)
    _opened.append(opened)
    return opened


def _do_without_pandas() -> None:
    """Keep pyarrow from loading pandas, where it is installed, for its first array: half a second.

    It looks for pandas just once; `to_pandas` loads it all the same.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(_NoPandas)


class _NoPandas:
    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        """As if pandas were not installed."""
        if name == "pandas":
            raise ModuleNotFoundError(name)


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
