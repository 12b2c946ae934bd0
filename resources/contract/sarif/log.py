"""A SARIF log file, taken apart into run documents of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from resources.contract.exact import shown
from resources.contract.model import ContractError, Delivery, Rejection
from resources.contract.quick import NOT_DECODED, may_hide_colons
from resources.contract.sarif.model import ExternalProperties, Run
from resources.contract.sarif.run import run_document
from resources.contract.sarif.strict import json_of, members_of, typed

VERSION = "2.1.0"


def runs_of(delivery: Delivery, data: bytes, max_bytes: int) -> tuple[list[Delivery], list[Rejection]]:
    """The runs in the SARIF log `data`, as run documents, and what is refused.

    A run that is refused keeps its bytes as a log with that run alone, so it can be mended and
    read again by itself. `position` counts runs from 1. All runs together are of at most
    `max_bytes`, since a few bytes of a rule or of shared properties can be repeated without end.
    """
    escaped = may_hide_colons(data)
    try:
        members = members_of(data, escaped)
        runs = _runs(members)
        inline = _inline(members, escaped)
        _check_shared(members, len(runs), max_bytes)
    except ContractError as error:
        return [], [Rejection(delivery.source, delivery.raw, error.pointer, error.rule)]
    taken: list[Delivery] = []
    refused: list[Rejection] = []
    room = max_bytes
    for place, raw in enumerate(runs):
        try:
            document = _document(json_of(bytes(raw), escaped), inline, room, delivery.plugin)
        except ContractError as error:
            alone = data if len(runs) == 1 else _log_of(raw, members)
            pointer = f"$.runs[{place}]{error.pointer[1:]}"
            refused.append(Rejection(delivery.source, alone, pointer, error.rule, place + 1))
        else:
            room -= len(document)
            taken.append(Delivery(delivery.source, document, delivery.modified, place + 1))
    return taken, refused


def _runs(members: dict[str, msgspec.Raw]) -> list[msgspec.Raw]:
    for name in ("version", "runs"):
        if name not in members:
            raise ContractError(f"$.{name}", "is missing")
    version = _value(members["version"])
    if version != VERSION:
        raise ContractError("$.version", f"{shown(version)} is not {VERSION}")
    try:
        return msgspec.json.decode(members["runs"], type=list[msgspec.Raw])
    except NOT_DECODED:
        raise ContractError("$.runs", f"{shown(_value(members['runs']))} is not an array") from None


def _value(raw: msgspec.Raw) -> Any:
    return json_of(bytes(raw), escaped=True)


def _inline(members: dict[str, msgspec.Raw], escaped: bool) -> list[ExternalProperties]:
    name = "inlineExternalProperties"
    tree = json_of(bytes(members[name]), escaped) if name in members else []
    return typed(tree, list[ExternalProperties], f"$.{name}")


def _check_shared(members: dict[str, msgspec.Raw], runs: int, max_bytes: int) -> None:
    shared = sum(len(bytes(value)) for name, value in members.items() if name != "runs")
    if shared * (runs - 1) > max_bytes:
        raise ContractError("$", f"more than {max_bytes} bytes for {runs} runs that share {shared} bytes")


def _log_of(run: msgspec.Raw, members: dict[str, msgspec.Raw]) -> bytes:
    """A log with this run alone, and all else that the log had."""
    return msgspec.json.encode(members | {"runs": [run]})


def _document(tree: Any, inline: Sequence[ExternalProperties], max_bytes: int, plugin: str | None) -> bytes:
    if not isinstance(tree, dict):
        raise ContractError("$", f"{shown(tree)} is not an object")
    results = tree.pop("results", None)
    run = typed(tree, Run, "$")
    if inline or run.external_property_file_references:
        results = _gathered(tree, results, run, inline)
        run = typed(tree, Run, "$")
    if results is None:
        raise ContractError("$.results", "is missing or null: the tool has looked for nothing")
    if not isinstance(results, list):
        raise ContractError("$.results", f"{shown(results)} is not an array")
    return run_document(run, results, max_bytes, plugin)


def _gathered(tree: dict[str, Any], results: Any, run: Run, inline: Sequence[ExternalProperties]) -> Any:
    """The results, and into `tree` the rest, of what this run has elsewhere in the file.

    Raises `ContractError` where results stand in another file, since the run would seem to be without them.
    """
    references = run.external_property_file_references or {}
    guids = {reference.get("guid") for reference in _each(references.values())}
    own = run.automation_details.guid if run.automation_details else ""
    found = [e for e in inline if (e.guid and e.guid in guids) or (own and e.run_guid == own)]
    for external in found:
        for name in ("artifacts", "invocations"):
            if (elements := getattr(external, name)) is not None:
                tree[name] = [*(tree.get(name) or ()), *elements]
        if external.driver is not None:
            tree["tool"]["driver"] = external.driver
        if external.extensions is not None:
            tree["tool"]["extensions"] = [*(tree["tool"].get("extensions") or ()), *external.extensions]
        if external.results is not None:
            results = [*(results if isinstance(results, list) else ()), *external.results]
    here = {external.guid for external in found}
    for place, reference in enumerate(_each([references.get("results")])):
        if reference.get("guid") not in here:
            raise ContractError(
                f"$.externalPropertyFileReferences.results[{place}]",
                "its results are in another file, which is not read: have the tool write them into this one",
            )
    return results


def _each(references: Any) -> list[dict[str, Any]]:
    """References that stand alone or in lists, all in one list; other values are passed over."""
    lists = (value if isinstance(value, list) else [value] for value in references)
    return [reference for listed in lists for reference in listed if isinstance(reference, dict)]
