"""The short way to read a run: typed decoding, its issues left as the bytes they are written in.

Most issues of a run stood byte for byte in the run before, so whoever knows those bytes need not
decode them again. Fields that the contract does not name are no trouble once they are known: a
`Shape` lists the ones to expect. What a shape does not cover takes the long way (`exact`), and so
does everything that is refused, since only the long way can say where and why.
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

from resources.contract.exact import shown
from resources.contract.model import ContractError, Issue, ReadRun, UnreadRun

MAX_EXPECTED = 64
"""Unknown fields that a shape holds at each level; documents with still others take the long way."""

NOT_DECODED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_NO_FIELD_NAME = re.compile(r'[\\"\x00-\x1f]')


@dataclass(frozen=True)
class Shape:
    """The unknown fields that runs and issues are expected to have, and how to read them."""

    run_keys: tuple[str, ...] = ()
    issue_keys: tuple[str, ...] = ()

    def decode(self, raw: bytes) -> UnreadRun:
        """The run in `raw`; whether a key occurs twice is not looked at. Raises `NOT_DECODED`."""
        return self._decode_run(raw)

    def decode_issues(self, raws: Sequence[bytes]) -> list[Issue | None]:
        """The issue in each of `raws`, None where it is not one; nor are keys looked at here."""
        try:
            # Each is a whole JSON value, so together they are an array of them.
            return self._decode_issues(b"[%b]" % b",".join(raws))
        except NOT_DECODED:
            return [self._decode_issue(raw) for raw in raws]

    def run_extra(self, run: UnreadRun) -> dict[str, Any] | None:
        """The unknown fields of a run that `decode` gave."""
        return self._run_members(run) or None

    def issue_extra(self, issue: Issue) -> dict[str, Any] | None:
        """The unknown fields of an issue that `decode_issues` gave."""
        return self._issue_members(issue) or None

    def expecting(self, reads: Iterable[ReadRun]) -> Shape:
        """This shape with the unknown fields of `reads` too, as far as there is room."""
        run_keys = dict.fromkeys(self.run_keys)
        issue_keys = dict.fromkeys(self.issue_keys)
        for read in reads:
            run_keys.update(dict.fromkeys(read.extra or ()))
            for members in (read.issue_extras or {}).values():
                issue_keys.update(dict.fromkeys(members))
        shape = Shape(_decodable(run_keys), _decodable(issue_keys))
        return self if shape == self else shape

    def _decode_issue(self, raw: bytes) -> Issue | None:
        try:
            return self._decode_issues(b"[%b]" % raw)[0]
        except NOT_DECODED:
            return None

    @cached_property
    def _decode_run(self) -> Callable[[bytes], UnreadRun]:
        return msgspec.json.Decoder(_extended(UnreadRun, self.run_keys)).decode

    @cached_property
    def _decode_issues(self) -> Callable[[bytes], list[Issue | None]]:
        issue = _extended(Issue, self.issue_keys)
        return msgspec.json.Decoder(list[issue]).decode  # type: ignore[valid-type]

    @cached_property
    def _run_members(self) -> Callable[[UnreadRun], dict[str, Any]]:
        return _members(self.run_keys)

    @cached_property
    def _issue_members(self) -> Callable[[Issue], dict[str, Any]]:
        return _members(self.issue_keys)


BARE = Shape()


def may_hide_colons(raw: bytes) -> bool:
    """Whether a colon may be written as an escape, so that counting them proves nothing."""
    return b"\\" in raw and b"\\u003" in raw and (b"\\u003a" in raw or b"\\u003A" in raw)


def parse_timestamp(text: str) -> datetime:
    """An RFC 3339 date-time as UTC, microseconds; no offset means UTC. Raises `ContractError`."""
    try:
        return _utc(msgspec.convert(text, datetime))
    except (msgspec.ValidationError, OverflowError):
        raise ContractError("$.timestamp", f"{shown(text)} is not an RFC 3339 date-time") from None


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def deeper(value: Any, levels: int) -> bool:
    """Whether `value` nests deeper than so many levels."""
    if not isinstance(value, dict | list):
        return False
    members = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(deeper(member, levels - 1) for member in members)


def _extended(base: type[msgspec.Struct], keys: Sequence[str]) -> Any:
    """A struct that also takes `keys`, as attributes that no field of the contract can be named."""
    attributes = _attributes(keys)
    return msgspec.defstruct(
        base.__name__,
        [(attribute, Any, UNSET) for attribute in attributes],
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
