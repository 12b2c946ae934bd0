"""Runs that are never retired: pinned by somebody, for a reason, until somebody unpins them.

pins/<name>.json      pins and unpins that were made in one go
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from assets import records
from resources.backend import RUN_IDS_AT_MOST, RUNS, Backend, Pushdown
from resources.errors import UsageError
from resources.files import Files
from resources.session import sql

if TYPE_CHECKING:
    import duckdb

FOLDER = "pins"


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody pinned a run, or with `pinned` false unpinned it. `pinned_at` is UTC.

    Raises `ValueError` where it says nothing that can be kept.
    """

    pinned_at: Annotated[datetime, msgspec.Meta(tz=True)]
    validation_run_id: str
    pinned: bool
    reason: str
    actor: str

    def __post_init__(self) -> None:
        records.check_text(reason=self.reason, actor=self.actor)

    @property
    def moment(self) -> datetime:
        return self.pinned_at


def pin(lake: Backend, run_ids: Sequence[str], reason: str, actor: str) -> list[Pin]:
    """Keep the runs from being retired; durable on return.

    Raises `UsageError` where one is not stored, or a text is empty or too long; `StorageError`.
    """
    unknown = sorted(set(run_ids) - _stored(lake, list(run_ids)))
    if unknown:
        raise UsageError(f"There is no run {unknown[0]!r}: see `issuelake history`. Nothing was pinned.")
    return _write(lake.files, run_ids, True, reason, actor)


def unpin(lake: Backend, run_ids: Sequence[str], reason: str, actor: str) -> list[Pin]:
    """Let the rules hold for the runs again; durable on return.

    Raises `UsageError` where one is not pinned, or a text is empty or too long; `StorageError`.
    """
    unpinned = sorted(set(run_ids) - pinned(lake.files).keys())
    if unpinned:
        raise UsageError(
            f"The run {unpinned[0]!r} is not pinned: see `issuelake pins`. Nothing was unpinned."
        )
    return _write(lake.files, run_ids, False, reason, actor)


def pinned(files: Files) -> dict[str, Pin]:
    """The pins that hold, by run id, the oldest first. Raises `StorageError`."""
    last = {record.validation_run_id: record for record in made(files)}
    return {run_id: record for run_id, record in last.items() if record.pinned}


def made(files: Files) -> list[Pin]:
    """Every pin and unpin that there ever was, oldest first. Raises `StorageError`."""
    return records.made(files, FOLDER, Pin)


def _write(files: Files, run_ids: Iterable[str], what: bool, reason: str, actor: str) -> list[Pin]:
    now = datetime.now(UTC)
    try:
        fresh = [Pin(now, run_id, what, reason, actor) for run_id in dict.fromkeys(run_ids)]
    except ValueError as error:
        raise UsageError(f"The {'pin' if what else 'unpin'} is not written down: {error}.") from None
    records.take_in(files, FOLDER, Pin, fresh)
    return fresh


def _stored(lake: Backend, run_ids: Sequence[str]) -> set[str]:
    """Those of `run_ids` that are there."""

    def found(connection: duckdb.DuckDBPyConnection) -> set[str]:
        rows = connection.execute(sql("resources", "stored_at_of_runs"), [run_ids]).fetchall()
        return {run_id for run_id, _ in rows}

    some = tuple(run_ids) if len(run_ids) <= RUN_IDS_AT_MOST else None
    return lake.reading(found, tables=(RUNS,), pushdown=Pushdown(run_ids=some))
