"""The long way to read a run: the whole document is walked, and what is wrong is named.

Slow, and final: what the short way cannot vouch for is decided here. Unknown fields are kept,
and a refusal names the place (a JSON pointer) and the rule.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from msgspec import UNSET, UnsetType

from resources.contract.model import MAX_DEPTH, ContractError, Issue, ReadRun, Run
from resources.schema import CHANGE_TYPES, ISSUE_FIELDS, RUN_FIELDS, SCORE_RANGE, SEVERITIES

T = TypeVar("T")


def read_exactly(raw: bytes) -> ReadRun:
    """The run in `raw`. Raises `ContractError`."""
    return _checked_run(parse_json(raw))


def why_not_json(data: bytes) -> ContractError:
    """What is wrong with `data` where it is not the JSON that was expected."""
    try:
        parse_json(data)
    except ContractError as error:
        return error
    return ContractError("$", "not a JSON array of runs")


class _Pairs(list[tuple[str, Any]]):
    """An object's members before anyone has looked whether a key occurs twice."""


@dataclass(slots=True)
class _NotFinite:
    text: str


def _parse_float(text: str) -> float | _NotFinite:
    number = float(text)
    return number if number - number == 0 else _NotFinite(text)


def _parse_int(text: str) -> int | _NotFinite:
    try:
        return int(text)
    except ValueError:  # longer than sys.int_info allows
        return _NotFinite(text)


def parse_json(raw: bytes) -> Any:
    """The document as Python objects, with every rule about JSON itself checked.

    Raises `ContractError`.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ContractError("$", f"not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}") from None
    if not text.strip(" \t\r\n"):
        raise ContractError("$", "the document is empty")
    try:
        tree = json.loads(
            text,
            object_pairs_hook=_Pairs,
            parse_constant=_NotFinite,
            parse_float=_parse_float,
            parse_int=_parse_int,
        )
        return _plain(tree, "$", 0)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise ContractError(
                "$", f"a second document begins at line {error.lineno} column {error.colno}"
            ) from None
        where = f"at line {error.lineno} column {error.colno}"
        raise ContractError("$", f"not JSON: {error.msg} {where}") from None
    except RecursionError:
        raise ContractError("$", f"nested deeper than {MAX_DEPTH} levels") from None


def _plain(value: Any, pointer: str, depth: int) -> Any:
    if isinstance(value, (_Pairs, list)) and depth >= MAX_DEPTH:
        raise ContractError(_shortened(pointer), f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, _Pairs):
        members: dict[str, Any] = {}
        for key, member in value:
            _check_text(key, pointer)
            if key in members:
                raise ContractError(_shortened(pointer), f"the key {shown(key)} occurs twice")
            members[key] = _plain(member, _child(pointer, key), depth + 1)
        return members
    if isinstance(value, list):
        return [_plain(member, f"{pointer}[{i}]", depth + 1) for i, member in enumerate(value)]
    if isinstance(value, _NotFinite):
        raise ContractError(_shortened(pointer), f"{shown(value.text)[1:-1]} is not a finite number")
    if isinstance(value, str):
        _check_text(value, pointer)
    return value


def _check_text(text: str, pointer: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        lone = ord(text[error.start])
        raise ContractError(_shortened(pointer), f"holds the lone surrogate U+{lone:04X}") from None


def _checked_run(document: Any) -> ReadRun:
    members = _object(document, "$")
    issues = []
    issue_extras = {}
    listed = _typed(members, "$", "issues_list", list, "an array")
    for index, element in enumerate(listed or ()):
        pointer = f"$.issues_list[{index}]"
        fields = _object(element, pointer)
        for required in ("severity", "description"):
            if required not in fields:
                raise ContractError(f"{pointer}.{required}", "is missing")
        issues.append(
            Issue(
                severity=_one_of(fields, pointer, "severity", SEVERITIES),
                description=_string(fields, pointer, "description"),
                category=_string(fields, pointer, "category"),
                file_path=_string(fields, pointer, "file_path"),
                recommendation=_string(fields, pointer, "recommendation"),
                details=_typed(fields, pointer, "details", dict, "an object"),
            )
        )
        if extra := {k: v for k, v in fields.items() if k not in ISSUE_FIELDS}:
            issue_extras[index] = extra
    run = Run(
        validation_run_id=_string(members, "$", "validation_run_id"),
        timestamp=_string(members, "$", "timestamp"),
        target_plugin=_string(members, "$", "target_plugin"),
        change_type=_one_of(members, "$", "change_type", CHANGE_TYPES),
        pipeline_score=_score(members),
        metadata=_typed(members, "$", "metadata", dict, "an object"),
        issues_list=cast(list[Issue], None) if listed is None else issues,
    )
    extra = {k: v for k, v in members.items() if k not in RUN_FIELDS}
    return ReadRun(run, extra or None, issue_extras or None)


def _object(value: Any, pointer: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ContractError(pointer, f"{shown(value)} is not an object")


def _typed(members: dict[str, Any], pointer: str, key: str, kind: type[T], called: str) -> T:
    if key not in members:
        return cast(T, None)
    value = members[key]
    if isinstance(value, kind):
        return value
    raise ContractError(f"{pointer}.{key}", f"{shown(value)} is not {called}")


def _string(members: dict[str, Any], pointer: str, key: str) -> str:
    return _typed(members, pointer, key, str, "a string")


def _one_of(members: dict[str, Any], pointer: str, key: str, allowed: tuple[str, ...]) -> Any:
    if key in members and members[key] not in allowed:
        raise ContractError(f"{pointer}.{key}", f"{shown(members[key])} is not one of {', '.join(allowed)}")
    return members.get(key)


def _score(members: dict[str, Any]) -> int | UnsetType | None:
    if "pipeline_score" not in members:
        return UNSET
    score = members["pipeline_score"]
    low, high = SCORE_RANGE
    whole = isinstance(score, int | float) and not isinstance(score, bool) and score == int(score)
    if score is None or (whole and low <= score <= high):
        return None if score is None else int(score)
    raise ContractError("$.pipeline_score", f"{shown(score)} is not an integer from {low} to {high}")


def _child(pointer: str, key: str) -> str:
    return f"{pointer}.{key}" if key.isidentifier() else f"{pointer}[{json.dumps(key)}]"


def _shortened(pointer: str, limit: int = 300) -> str:
    return pointer if len(pointer) <= limit else f"{pointer[:limit]}…"


def shown(value: Any, limit: int = 60) -> str:
    """A value as a reason quotes it: recognisable, one line, never long."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    text = repr(value if not isinstance(value, str) else value[: limit + 1])
    return text if len(text) <= limit else f"{text[:limit]}…'"
