"""`store_issues`: runs that a caller hands over, stored, and each accounted for by itself."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from assets import kernel
from assets.answers import Answer, answer
from resources.config import Storage
from resources.contract import MAX_DEPTH, Delivery
from resources.errors import UsageError
from resources.lake.verdict import Appended

SOURCE = "store_issues"
"""What stands as `source` of runs that did not come from a file."""


def store(storage: Storage, issues: dict[str, Any] | list[Any]) -> Answer:
    """Store one run or a list of runs; durable, and seen by every later read, on return.

    Runs stand alone: one that breaks the contract is kept as rejected and the others are stored,
    as in a run file that holds several. `success` is false as soon as one was rejected, and
    `issues_data.runs` says of each what became of it. Raises `UsageError` where the runs hold
    what JSON cannot, and `StorageError`.
    """
    runs = issues if isinstance(issues, list) else [issues]
    positions = range(1, len(runs) + 1) if isinstance(issues, list) else [None]
    deliveries = [
        Delivery(SOURCE, _encoded(run, position), position=position)
        for run, position in zip(runs, positions, strict=True)
    ]
    chunk = kernel.build(deliveries)
    storage.backend.reject(chunk.rejections)
    appended = storage.backend.append(chunk.runs, chunk.issues) if chunk.runs.num_rows else Appended()
    data = {
        "runs_stored": appended.runs_stored,
        "duplicates": appended.duplicates,
        "runs_rejected": len(chunk.rejections),
        "issues_stored": appended.issues_stored,
        "runs": _each(deliveries, chunk, appended),
    }
    answered = answer("store_issues", storage, appended.runs_stored, issues_data=data)
    return answered | _refusal(chunk, len(runs)) if chunk.rejections else answered


def _each(deliveries: list[Delivery], chunk: kernel.Chunk, appended: Appended) -> list[Answer]:
    """What became of each run, in the order they came in."""
    reasons = {rejection.position: rejection.reason for rejection in chunk.rejections}
    accepted = enumerate(chunk.runs["validation_run_id"].to_pylist())
    each = []
    for delivery in deliveries:
        if delivery.position in reasons:
            each.append({"status": "rejected", "reason": reasons[delivery.position]})
        else:
            row, run_id = next(accepted)
            status = "duplicate" if row in appended.duplicate_rows else "stored"
            each.append({"status": status, "validation_run_id": run_id})
    return each


def _refusal(chunk: kernel.Chunk, count: int) -> Answer:
    first = chunk.rejections[0]
    if first.position is None:
        what = "The run was rejected"
    else:
        what = (
            f"{len(chunk.rejections)} of {count} runs were rejected, the first of them run {first.position}"
        )
    advice = "mend it and store it again, or see `issuelake rejected list`"
    return {"success": False, "error": f"{what}: {first.reason}; {advice}."}


def _encoded(run: Any, position: int | None) -> bytes:
    """The run as a run file would have it. NaN stays NaN, so that the contract refuses it by name."""
    where = "issues" if position is None else f"issues[{position - 1}]"
    try:
        return json.dumps(run, default=_moment).encode()
    except RecursionError:
        raise UsageError(f"{where} is nested deeper than {MAX_DEPTH} levels: flatten it.") from None
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where} holds what JSON cannot: {error}; give plain values.") from None


def _moment(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a value of the type {type(value).__name__}")
