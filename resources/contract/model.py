"""What the contract speaks of: runs and issues as delivered, deliveries, rejections."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import UNSET, UnsetType

from resources.schema import SCORE_RANGE

DEFAULT_MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_DEPTH = 200
"""Levels of nesting; far above any real `details`, far below what exhausts a reader's stack."""

_NO_STR = cast(str, None)  # absent; unlike `str | None` it keeps refusing an explicit null
_NO_DICT = cast(dict[str, Any], None)

Severity = Literal["critical", "high", "medium", "low"]
ChangeType = Literal["created", "modified", "deleted", "unknown"]
Score = Annotated[int, msgspec.Meta(ge=SCORE_RANGE[0], le=SCORE_RANGE[1])]


class Issue(msgspec.Struct, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """One issue as delivered; an absent field is None."""

    severity: Severity
    description: str
    category: str = _NO_STR
    file_path: str = _NO_STR
    recommendation: str = _NO_STR
    details: dict[str, Any] = _NO_DICT


class _RunHead(msgspec.Struct, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """A run as delivered but for its issues; an absent field is None (the score: UNSET, since it may
    be null)."""

    validation_run_id: str = _NO_STR
    timestamp: str = _NO_STR
    target_plugin: str = _NO_STR
    change_type: ChangeType = cast(ChangeType, None)
    pipeline_score: Score | UnsetType | None = UNSET
    metadata: dict[str, Any] = _NO_DICT


class Run(_RunHead, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """One run as delivered."""

    issues_list: list[Issue] = cast(list[Issue], None)


class UnreadRun(_RunHead, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """One run as delivered, each of its issues still the bytes it is written in."""

    issues_list: list[msgspec.Raw] = cast(list[msgspec.Raw], None)


class ContractError(Exception):
    """The run breaks the contract at `pointer` by `rule`."""

    def __init__(self, pointer: str, rule: str) -> None:
        super().__init__(f"{pointer}: {rule}")
        self.pointer = pointer
        self.rule = rule


@dataclass(slots=True)
class Delivery:
    """One run as it stands in its file: `position` is its line (NDJSON) or element (array, SARIF), from 1.

    `plugin` is what was validated where the run does not say it.
    """

    source: str
    raw: bytes
    modified: datetime | None = None
    position: int | None = None
    plugin: str | None = None


@dataclass(slots=True)
class Rejection:
    """A delivery that was refused, with its bytes, the place and the rule."""

    source: str
    raw: bytes
    pointer: str
    rule: str
    position: int | None = None

    @property
    def reason(self) -> str:
        return f"{self.pointer}: {self.rule}"


@dataclass(slots=True)
class ReadRun:
    """A run that keeps the contract, and the fields that the contract does not name.

    `issue_extras` has those of an issue under its place in `issues_list`.
    """

    run: Run
    extra: dict[str, Any] | None = None
    issue_extras: dict[int, dict[str, Any]] | None = None
