"""Deleting runs: one document hides them all at once, then they are removed.

The document says who deleted what. While its `pending` is there, a file names the copies (run id and
batch) that it hides; what a killed process leaves so the next upkeep finishes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from resources.backends.mongodb.connection import Collections, Document
from resources.lake import layout
from resources.lake.marks import Audit, Deletion

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession

Copies = set[tuple[str, str]]
"""Run ids, and the batch that delivered each."""


def hidden(collections: Collections, session: ClientSession | None = None) -> Copies:
    """The copies that are deleted and still there; nearly always none."""
    from resources.backends.mongodb.files import load

    found: Copies = set()
    for audit in collections.deletions.find({"pending": {"$exists": True}}, ["pending"], session=session):
        raw = load(collections, audit["pending"], session)
        if raw is not None:  # else it has been finished since
            found |= {(run_id, batch_id) for run_id, batch_id in msgspec.json.decode(raw)}
    return found


def made(run_ids: set[str], audit: Audit) -> Deletion:
    """The deletion of `run_ids` that is made now."""
    now = datetime.now(UTC)
    audit_id = layout.content_name(f"{run_id}\x1f{now}" for run_id in run_ids)
    return Deletion(audit_id, now, audit.actor, audit.query, len(run_ids), audit.issues_deleted)


def delete(collections: Collections, deletion: Deletion, copies: Copies) -> None:
    """Hide `copies`, then remove them; the same deletion again changes nothing."""
    from resources.backends.mongodb.files import save

    name = layout.content_name("\x1f".join(copy) for copy in copies)
    pending = f"{layout.DELETED}/{name}.json"
    save(collections, pending, msgspec.json.encode(sorted(copies)))
    record = {
        "deleted_at": deletion.deleted_at.isoformat(timespec="microseconds"),
        "actor": deletion.actor,
        "query": msgspec.json.encode(deletion.query).decode(),
        "runs_deleted": deletion.runs_deleted,
        "issues_deleted": deletion.issues_deleted,
    }
    identity = {"_id": deletion.audit_id}
    change = {"$setOnInsert": record, "$set": {"pending": pending}}
    collections.deletions.update_one(identity, change, upsert=True)
    _remove(collections, copies)
    _settle(collections, identity | {"pending": pending})


def finish(collections: Collections) -> None:
    """Remove what deletions that were interrupted have hidden."""
    for audit in list(collections.deletions.find({"pending": {"$exists": True}})):
        _remove(collections, hidden(collections))
        _settle(collections, audit)


def audits(collections: Collections) -> list[Deletion]:
    """Every deletion, oldest first."""
    return [
        Deletion(
            audit_id=found["_id"],
            deleted_at=datetime.fromisoformat(found["deleted_at"]),
            actor=found["actor"],
            query=msgspec.json.decode(found["query"]),
            runs_deleted=found["runs_deleted"],
            issues_deleted=found["issues_deleted"],
        )
        for found in collections.deletions.find().sort([("deleted_at", 1), ("_id", 1)])
    ]


def _remove(collections: Collections, copies: Copies) -> None:
    from pymongo import DeleteMany

    for batch_id, ids in _by_batch(copies):
        for start in range(0, len(ids), 1000):
            these = {"_id": {"$in": ids[start : start + 1000]}, "batch_id": batch_id}
            parts = [part for run in collections.runs.find(these, ["parts"]) for part in run.get("parts", ())]
            collections.runs.bulk_write([DeleteMany(these)])
            if parts:
                collections.parts.delete_many({"_id": {"$in": parts}})


def _by_batch(copies: Copies) -> Iterable[tuple[str, list[str]]]:
    batches: dict[str, list[str]] = {}
    for run_id, batch_id in copies:
        batches.setdefault(batch_id, []).append(run_id)
    return batches.items()


def _settle(collections: Collections, audit: Document) -> None:
    from resources.backends.mongodb.files import drop

    collections.deletions.update_one({"_id": audit["_id"]}, {"$unset": {"pending": ""}})
    drop(collections, audit["pending"])
