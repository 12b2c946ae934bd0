"""The short way to read a run: typed decoding, and a count that vouches that no key was lost.

Fields that the contract does not name are no trouble once they are known: a `Shape` lists the
ones to expect. What a shape does not cover takes the long way, and so does everything that is
refused, since only the long way can say where and why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET

from resources.contract.exact import read_exactly, shown
from resources.contract.model import MAX_DEPTH, ContractError, Issue, ReadRun, Run

MAX_EXPECTED = 64
"""Unknown fields that a shape holds at each level; documents with still others take the long way."""

NOT_DECODED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_encode = msgspec.json.Encoder().encode
_NO_FIELD_NAME = re.compile(r'[\\"\x00-\x1f]')


@dataclass(frozen=True)
class Shape:
    """The unknown fields that runs and issues are expected to have, and how to read them."""

    run_keys: tuple[str, ...] = ()
    issue_keys: tuple[str, ...] = ()

    def decode(self, raw: bytes) -> ReadRun:
        """The run in `raw`; whether a key occurs twice is not looked at. Raises `NOT_DECODED`."""
        run = self._decode(raw)
        if not self.run_keys and not self.issue_keys:
            return ReadRun(run)
        extra = self._run_members(run)
        issues = (run.issues_list or ()) if self.issue_keys else ()
        found = ((place, self._issue_members(issue)) for place, issue in enumerate(issues))
        issue_extras = {place: members for place, members in found if members}
        return ReadRun(run, extra or None, issue_extras or None)

    def read_unvouched(self, raw: bytes) -> ReadRun:
        """The run in `raw`, in which a key may occur twice, and whose timestamp may be none.

        For a caller who vouches for many runs at once. Raises `ContractError`.
        """
        try:
            return self.decode(raw)
        except NOT_DECODED:
            return read_exactly(raw)

    def read(self, raw: bytes) -> ReadRun:
        """The run in `raw`. Raises `ContractError`."""
        try:
            read = self.decode(raw)
        except NOT_DECODED:
            read = read_exactly(raw)
        else:
            if not _vouched(raw, read.run):
                read = read_exactly(raw)
        if read.run.timestamp is not None:
            parse_timestamp(read.run.timestamp)
        return read

    def expecting(self, reads: Sequence[ReadRun]) -> Shape:
        """This shape with the unknown fields of `reads` too, as far as there is room."""
        run_keys = dict.fromkeys(self.run_keys)
        issue_keys = dict.fromkeys(self.issue_keys)
        for read in reads:
            if type(read.run) is not Run:
                continue  # decoded: it has no field that was not expected
            run_keys.update(dict.fromkeys(read.extra or ()))
            for members in (read.issue_extras or {}).values():
                issue_keys.update(dict.fromkeys(members))
        shape = Shape(_decodable(run_keys), _decodable(issue_keys))
        return self if shape == self else shape

    @cached_property
    def _decode(self) -> Callable[[bytes], Run]:
        issue = _extended(Issue, self.issue_keys)
        run = _extended(Run, self.run_keys, ("issues_list", list[issue], None))  # type: ignore[valid-type]
        return msgspec.json.Decoder(run).decode

    @cached_property
    def _run_members(self) -> Callable[[Run], dict[str, Any]]:
        return _members(self.run_keys)

    @cached_property
    def _issue_members(self) -> Callable[[Issue], dict[str, Any]]:
        return _members(self.issue_keys)


BARE = Shape()


def may_hide_colons(raw: bytes) -> bool:
    """Whether a colon may be written as an escape, so that counting them proves nothing."""
    return b"\\" in raw and (b"\\u003a" in raw or b"\\u003A" in raw)


def parse_timestamp(text: str) -> datetime:
    """An RFC 3339 date-time as UTC, microseconds; no offset means UTC. Raises `ContractError`."""
    try:
        return _utc(msgspec.convert(text, datetime))
    except (msgspec.ValidationError, OverflowError):
        raise ContractError("$.timestamp", f"{shown(text)} is not an RFC 3339 date-time") from None


def parse_timestamps(texts: list[str | None]) -> list[datetime | None] | None:
    """`parse_timestamp` of each text, or None when one of them is no date-time."""
    try:
        moments = msgspec.convert(texts, list[datetime | None])
        return [None if moment is None else _utc(moment) for moment in moments]
    except (msgspec.ValidationError, OverflowError):
        return None


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _vouched(raw: bytes, run: Run) -> bool:
    """Whether no key of `raw` was lost in `run`, and nothing in it is nested too deeply.

    Every colon of a document is a key's or stands in a string. Encoding the run again gives each
    key it kept one colon and leaves those in strings alone, so a key that was dropped (it occurs
    twice) leaves the raw document with more of them.
    """
    if may_hide_colons(raw) or raw.count(b":") != _encode(run).count(b":"):
        return False
    return raw.count(b"{") + raw.count(b"[") < MAX_DEPTH or not _deeper(msgspec.to_builtins(run), MAX_DEPTH)


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    members = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(member, levels - 1) for member in members)


def _extended(base: type[msgspec.Struct], keys: Sequence[str], *fields: tuple[str, Any, Any]) -> Any:
    """A struct that also takes `keys`, as attributes that no field of the contract can be named."""
    attributes = _attributes(keys)
    return msgspec.defstruct(
        base.__name__,
        [*fields, *((attribute, Any, UNSET) for attribute in attributes)],
        bases=(base,),
        rename=dict(zip(attributes, keys, strict=True)),
        forbid_unknown_fields=True,
        gc=False,
        omit_defaults=True,
    )


def _decodable(keys: Iterable[str]) -> tuple[str, ...]:
    """Those of `keys` that a struct can be made to take; a document with others takes the long way."""
    return tuple(key for key in keys if not _NO_FIELD_NAME.search(key))[:MAX_EXPECTED]


def _attributes(keys: Sequence[str]) -> list[str]:
    return [f"unknown_{number}" for number in range(len(keys))]


def _members(keys: Sequence[str]) -> Callable[[Any], dict[str, Any]]:
    """What reads the unknown fields of a struct; an absent one is left out."""
    if not keys:
        return lambda _: {}
    # The doubled first attribute makes attrgetter give a tuple for a single key too.
    values_of = attrgetter(*_attributes(keys), "unknown_0")

    def members(struct: Any) -> dict[str, Any]:
        values = zip(keys, values_of(struct), strict=False)
        return {key: value for key, value in values if value is not UNSET}

    return members
