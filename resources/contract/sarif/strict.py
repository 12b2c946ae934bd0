"""JSON and types, checked: no key is lost, and what is wrong is named by its place."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from resources.contract.exact import parse_json, shown
from resources.contract.model import MAX_DEPTH, ContractError
from resources.contract.quick import NOT_DECODED, deeper
from resources.contract.sarif.model import KINDS, LEVELS

T = TypeVar("T")

KEPT_DEPTH = MAX_DEPTH - 10
"""Levels of a property bag; a run file nests it some levels down."""

_ALLOWED = {"level": LEVELS, "kind": KINDS}
_CALLED = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
}

_encode = msgspec.json.Encoder().encode
_steps = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


def json_of(raw: bytes, escaped: bool) -> Any:
    """The document in `raw`, in which no key occurs twice. Raises `ContractError`.

    `escaped` says that colons may be written as escapes (`may_hide_colons`), in any part of the file.
    """
    try:
        tree = msgspec.json.decode(raw)
    except NOT_DECODED:
        return parse_json(raw)
    # Every colon is a key's or stands in a text: a key that was dropped leaves one too many.
    if escaped or raw.count(b":") != _encode(tree).count(b":"):
        return parse_json(raw)
    return tree


def members_of(raw: bytes, escaped: bool) -> dict[str, msgspec.Raw]:
    """The members of the object in `raw`, not decoded yet, none twice. Raises `ContractError`."""
    try:
        members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except NOT_DECODED:
        tree = parse_json(raw)
        raise ContractError("$", f"{shown(tree)} is not an object") from None
    colons = sum(1 + key.count(":") + bytes(value).count(b":") for key, value in members.items())
    if escaped or raw.count(b":") != colons:
        parse_json(raw)
    return members


def typed(tree: Any, kind: type[T], pointer: str, first: int = 0) -> T:
    """`tree` as a `kind`; where it is a list, `first` is the place of its first element.

    Raises `ContractError`.
    """
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise _named(str(error), tree, pointer, first) from None


def shallow(properties: dict[str, Any] | None, pointer: str) -> dict[str, Any] | None:
    """`properties`, which nest no deeper than can be kept. Raises `ContractError`."""
    if properties and deeper(properties, KEPT_DEPTH):
        raise ContractError(pointer, f"nested deeper than {MAX_DEPTH} levels")
    return properties


def _named(message: str, tree: Any, pointer: str, first: int) -> ContractError:
    said, _, path = message.partition(" - at `$")
    path = path.rstrip("`")
    if first:
        path = re.sub(r"^\[(\d+)\]", lambda m: f"[{int(m[1]) + first}]", path)
        tree = [None] * first + tree
    place = pointer + path
    if missing := re.search(r"missing required field `(.+)`", said):
        return ContractError(f"{place}.{missing[1]}", "is missing")
    value = _at(tree, path)
    if said.startswith("Invalid enum value"):
        allowed = _ALLOWED[path.rpartition(".")[2]]
        return ContractError(place, f"{value} is not one of {', '.join(allowed)}")
    expected = re.search(r"Expected `(\w+)", said)
    called = _CALLED.get(expected[1], expected[1]) if expected else "what belongs here"
    return ContractError(place, f"{value} is not {called}")


def _at(tree: Any, path: str) -> str:
    """The value at `path` as a reason quotes it; msgspec does not say which member of a map it means."""
    if "[...]" in path:
        return "a value"
    for key, index in _steps.findall(path):
        tree = tree[key] if key else tree[int(index)]
    return shown(tree)
