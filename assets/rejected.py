"""Taking rejected deliveries in after all, once what was wrong has been mended."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from assets import kernel
from resources import contract
from resources.backend import Backend
from resources.contract import Delivery
from resources.errors import UsageError
from resources.lake.rejected import Rejected


@dataclass(slots=True)
class Replayed:
    """What a replay did: deliveries tried and taken in, and why the others are still refused."""

    tried: int = 0
    taken: int = 0
    runs_stored: int = 0
    duplicates: int = 0
    issues_stored: int = 0
    refused: list[str] = field(default_factory=list)


def find(lake: Backend, rejected_id: str) -> Rejected:
    """The rejected delivery whose id begins with `rejected_id`. Raises `UsageError`."""
    found = [r for r in lake.rejected() if r.rejected_id.startswith(rejected_id)]
    if len(found) != 1:
        how_many = "no rejected delivery" if not found else f"{len(found)} rejected deliveries"
        raise UsageError(f"There is {how_many} with the id {rejected_id!r}; see `issuelake rejected list`.")
    return found[0]


def replay(
    lake: Backend,
    rejected_ids: Collection[str] = (),
    mended: bytes | None = None,
    max_file_bytes: int = contract.DEFAULT_MAX_FILE_BYTES,
) -> Replayed:
    """Read rejected deliveries (all, or those with `rejected_ids`) again and store what is good now.

    `mended` takes the place of the one delivery's bytes. A delivery is struck off only when all
    of it has been stored; otherwise it stays as it is.
    """
    chosen = [find(lake, rejected_id) for rejected_id in rejected_ids] if rejected_ids else lake.rejected()
    if mended is not None and len(chosen) != 1:
        raise UsageError("Mended bytes can take the place of exactly one rejected delivery.")
    result = Replayed()
    for rejected in chosen:
        result.tried += 1
        raw = lake.rejected_bytes(rejected) if mended is None else mended
        delivery = Delivery(rejected.source, raw, rejected.rejected_at, rejected.position)
        deliveries, refused = contract.split_again(delivery, max_file_bytes)
        chunk = kernel.build(deliveries)
        refused += chunk.rejections
        if refused:
            result.refused.append(f"{rejected.rejected_id} {rejected.source}: {refused[0].reason}")
            continue
        stored = lake.append(chunk.runs, chunk.issues)
        lake.take_rejected([rejected.rejected_id])
        result.taken += 1
        result.runs_stored += stored.runs_stored
        result.duplicates += stored.duplicates
        result.issues_stored += stored.issues_stored
    return result
