"""A run as it stands in a document: what was delivered, and what storing has added.

A document that somebody else has written has only the former. It is read all the same: its content
hash is made anew, and it counts as stored at the moment that it is of.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from resources import contract
from resources.contract import ContractError, Issue, ReadRun, Run
from resources.errors import StorageError
from resources.lake import layout
from resources.schema import DEFAULT_CHANGE_TYPE, DEFAULT_PLUGIN

STAMP = "issuelake"
"""The key under which a document has what storing added."""

_encode = msgspec.json.Encoder(order="sorted").encode
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Stamp(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What storing adds to a run; `stored_at` in microseconds since 1970."""

    stored_at: int
    batch_id: str
    content_hash: str
    source: str
    own: Any = UNSET
    """What the run itself had under this key."""

    @classmethod
    def of(
        cls, stored_at: datetime, batch_id: str, content_hash: str, source: str, own: Any = UNSET
    ) -> Stamp:
        microseconds = (stored_at - _EPOCH) // timedelta(microseconds=1)
        return cls(microseconds, batch_id, content_hash, source, own)

    @property
    def moment(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self.stored_at)


class _Named(msgspec.Struct):
    validation_run_id: str


@dataclass(frozen=True)
class Kept:
    """One run out of a document. `extras` has the unknown fields of an issue under its place."""

    run: Run
    timestamp: datetime
    stamp: Stamp
    metadata: str | None
    extra: str | None
    extras: dict[int, dict[str, Any]]
    size: int
    """Bytes of the whole document."""

    @property
    def run_id(self) -> str:
        return self.run.validation_run_id

    @property
    def plugin(self) -> str:
        return self.run.target_plugin

    @property
    def issues(self) -> list[Issue]:
        return self.run.issues_list

    @property
    def day(self) -> date:
        return self.timestamp.date()

    @property
    def stored_at(self) -> datetime:
        return self.stamp.moment

    @property
    def batch_id(self) -> str:
        return self.stamp.batch_id

    @cached_property
    def issues_size(self) -> int:
        """Bytes of the issues alone."""
        return sum(len(_encode(issue)) + 1 for issue in self.issues)


def read(document: bytes, where: str) -> Kept:
    """The run in `document`, which is kept at `where`. Raises `StorageError` where it is none."""
    try:
        return _kept(contract.read_exactly(document), len(document), where)
    except ContractError as error:
        raise StorageError(
            f"{_which(document)} in {where} is not what a run file may hold ({error}): mend it or remove it"
            " there."
        ) from None


def _which(document: bytes) -> str:
    """What to call a run that cannot be read."""
    try:
        named = msgspec.json.decode(document, type=_Named).validation_run_id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "A document"
    return f"The run {contract.shown(named)}"


def _kept(found: ReadRun, size: int, where: str) -> Kept:
    run, extra, extras = found.run, dict(found.extra or {}), found.issue_extras or {}
    for name in ("validation_run_id", "timestamp"):
        if getattr(run, name) is None:
            raise ContractError(f"$.{name}", "is missing")
    moment = contract.parse_timestamp(run.timestamp)
    run.target_plugin = DEFAULT_PLUGIN if run.target_plugin is None else run.target_plugin
    run.change_type = DEFAULT_CHANGE_TYPE if run.change_type is None else run.change_type
    run.pipeline_score = None if isinstance(run.pipeline_score, UnsetType) else run.pipeline_score
    run.issues_list = run.issues_list or []
    stamp = _stamp(extra)
    metadata = None if run.metadata is None else _encode(run.metadata).decode()
    unnamed = _encode(extra).decode() if extra else None
    if stamp is None:
        stamp = _made(run, moment, metadata, unnamed, extras, where)
    return Kept(run, moment, stamp, metadata, unnamed, extras, size)


def _stamp(extra: dict[str, Any]) -> Stamp | None:
    """Take the stamp out of the unknown fields of a run, and put back what the run had in its place."""
    try:
        stamp = msgspec.convert(extra.get(STAMP), Stamp)
    except msgspec.ValidationError:
        return None
    if isinstance(stamp.own, UnsetType):
        del extra[STAMP]
    else:
        extra[STAMP] = stamp.own
    return stamp


def _made(
    run: Run,
    moment: datetime,
    metadata: str | None,
    extra: str | None,
    extras: dict[int, dict[str, Any]],
    where: str,
) -> Stamp:
    """The stamp of a run that has none, the same each time that it is read."""
    head = (run.target_plugin, run.change_type, run.pipeline_score, metadata, extra)
    issues = (
        sha256(_encode(msgspec.to_builtins(issue) | extras.get(place, {}))).digest()
        for place, issue in enumerate(run.issues_list)
    )
    hashed = contract.content_hash(run.validation_run_id, moment, head, issues)  # type: ignore[arg-type]
    return Stamp.of(moment, layout.content_name([run.validation_run_id, hashed]), hashed, where)
