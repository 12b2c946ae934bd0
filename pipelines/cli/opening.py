"""Opening a storage for a command, which says on standard error what had to be passed over."""

from __future__ import annotations

import sys

import click

from pipelines import opening
from pipelines.cli.output import safe
from resources.config import Storage


def open_storage(storage: str | None = None, config: str | None = None) -> Storage:
    """The storage of the options `--storage` and `--config`. Raises as `pipelines.opening` does."""
    opened = opening.open_storage(storage, config)
    if opened.trace is not None:
        click.get_current_context().call_on_close(lambda: _tell(opened))
    return opened


def _tell(storage: Storage) -> None:
    for attempt in storage.trace.attempts if storage.trace else ():
        if attempt.outcome != "used" or attempt.reason:
            print(
                f"passed over  {safe(attempt.backend)}: {safe(attempt.reason)} ({storage.used} was used)",
                file=sys.stderr,
            )
