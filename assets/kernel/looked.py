"""Deliveries at the first look: decoded but for their issues, and what can be vouched for of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import methodcaller
from typing import Any, cast

import msgspec

from resources import contract
from resources.contract import Delivery, Run, UnreadRun
from resources.schema import DEFAULT_PLUGIN

SHALLOW = 180
"""So many opening brackets fit into a run without its issues, or into an issue, and leave the run within
the contract's depth, however they are nested."""

_encode_lines = msgspec.json.Encoder().encode_lines


_NONE: Mapping[bytes, int] = {}


class Looked:
    """A delivery; `run` is None where it could not be decoded.

    `issues` are the numbers of its `raws`, once each has one in `numbers`.
    """

    __slots__ = ("delivery", "identified", "issues", "listed", "numbers", "raws", "run")

    def __init__(
        self, delivery: Delivery, run: UnreadRun | None = None, numbers: Mapping[bytes, int] = _NONE
    ) -> None:
        self.delivery = delivery
        self.run = run
        self.listed = run is not None and run.issues_list is not None
        self.numbers = numbers
        self.raws = [] if run is None else list(map(bytes, run.issues_list or ()))
        self.identify()

    def identify(self) -> bool:
        """Look the issues up; whether each is known."""
        found = list(map(self.numbers.get, self.raws))
        self.identified = self.run is not None and None not in found
        self.issues: Sequence[int] = cast(list[int], found) if self.identified else ()
        return self.identified

    def unidentified(self) -> list[bytes]:
        """The issues that are not known."""
        return [raw for raw in self.raws if raw not in self.numbers]


def plugin_of(run: Run | UnreadRun, delivery: Delivery) -> str:
    """What was validated."""
    if run.target_plugin is not None:
        return run.target_plugin
    return DEFAULT_PLUGIN if delivery.plugin is None else delivery.plugin


def vouched(identified: Sequence[Looked]) -> set[Looked]:
    """Those of `identified`, decoded runs with known issues, of which no key was lost, and in which nothing
    is nested too deeply.

    Every colon is a key's or stands in a text. A key that was dropped, because it occurs twice,
    leaves a document with more of them than there are fields, and never with fewer: so if all
    documents together have as many as they have fields, each has.
    """
    pieces = [_without_issues(looked) for looked in identified]
    lines = _fields([looked.run for looked in identified])
    if _sure(b"".join([head for head, _ in pieces]), sum([colons for _, colons in pieces]), lines):
        return set(identified)
    return {
        looked
        for looked, (head, colons), line in zip(identified, pieces, lines, strict=True)
        if _sure(head, colons, [line])
    }


def _sure(heads: bytes, colons: int, fields: Sequence[bytes]) -> bool:
    """Whether that is so of documents without their issues, `heads`, in which `fields` and so many other
    `colons` were found."""
    if contract.may_hide_colons(heads) or b"".join(fields).count(b":") + colons != heads.count(b":"):
        return False
    return not may_be_deep(fields)


def may_be_deep(documents: Sequence[bytes]) -> bool:
    """Whether one of `documents` may be nested deeper than `SHALLOW`."""
    long = [document for document in documents if len(document) > 2 * SHALLOW]  # each is closed again, too
    most = (max(map(methodcaller("count", bracket), long), default=0) for bracket in (b"{", b"["))
    return sum(most) > SHALLOW


def _fields(runs: Sequence[Any]) -> list[bytes]:
    """The fields of each of `runs` but for its issues, as JSON."""
    for run in runs:
        run.issues_list = None  # absent, as it may be, so it is not encoded
    return _encode_lines(runs).split(b"\n")[:-1]


def _without_issues(looked: Looked) -> tuple[bytes, int]:
    """A delivery without its issues, if they are to be found in it just so, and how many colons it may have
    that are not of the other fields."""
    raw, issues = looked.delivery.raw, looked.raws
    listed = int(looked.listed)
    if not issues:
        return raw, listed
    start, end = raw.find(issues[0]), raw.rfind(issues[-1]) + len(issues[-1])
    if end - start == sum(map(len, issues)) + len(issues) - 1:  # nothing but a comma stands between them
        return raw[:start] + raw[end:], listed
    return raw, listed + sum([issue.count(b":") for issue in issues])
