"""The operation document: what a caller may ask for, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from assets.exports.formats import FORMATS
from resources.contract import shown
from resources.errors import UsageError

Operation = Literal[
    "store_issues",
    "get_issues",
    "get_latest_issues",
    "search_issues",
    "get_issue_summary",
    "get_issue_history",
    "delete_issues",
    "export_issues",
    "get_health_status",
]
DEFAULT_OPERATION: Operation = "store_issues"


class Document(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One operation and all that it may need; what an operation has no use for is not looked at."""

    operation: Annotated[Operation, Meta(description="what to do")] = DEFAULT_OPERATION
    storage_backend: Annotated[
        str | None,
        Meta(description="which storage; auto takes the configured one of the lowest priority number"),
    ] = None
    storage_config: Annotated[
        dict[str, Any] | None,
        Meta(description="the keys of each storage; ${NAME} is read from the environment"),
    ] = None
    issues: Annotated[
        dict[str, Any] | list[Any] | None, Meta(description="store_issues: the run, or a list of runs")
    ] = None
    query: Annotated[
        dict[str, Any], Meta(description="which runs and issues; see docs/nine-operations.md")
    ] = {}
    export_format: Annotated[
        str | None,
        Meta(description="export_issues: the format; absent: by the ending of export_path, else json"),
    ] = None
    export_path: Annotated[
        str | None, Meta(description="export_issues: where to, a local path or any fsspec URL")
    ] = None

    @property
    def storage(self) -> dict[str, Any]:
        """The keys that say which storage, where they are given."""
        keys = {"storage_backend": self.storage_backend, "storage_config": self.storage_config}
        return {key: value for key, value in keys.items() if value is not None}


KEYS = Document.__struct_fields__
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
_CHOICES = {"operation": OPERATIONS, "export_format": tuple(FORMATS)}


def parse(document: Any) -> Document:
    """`document` as a `Document`; a key whose value is None counts as absent. Raises `UsageError`."""
    if not isinstance(document, Mapping):
        raise UsageError(
            f"An operation document is a mapping with the keys {', '.join(KEYS)}, not {_named(document)}."
        )
    given = {}
    for key, value in document.items():
        if key not in KEYS:
            raise UsageError(f"Unknown key {shown(key)}; an operation document has {', '.join(KEYS)}.")
        if value is not None:
            given[key] = value
    for key, known in _CHOICES.items():
        if key in given and given[key] not in known:
            raise UsageError(f"{key}: {shown(given[key])} is not known; known are {', '.join(known)}.")
    _check_plain({key: value for key, value in given.items() if key != "issues"})
    try:
        return msgspec.convert(given, Document)
    except msgspec.ValidationError as error:
        raise UsageError(f"The operation document is not understood: {error}.") from None


def _check_plain(given: dict[str, Any]) -> None:
    """Refuse what JSON cannot hold, before it gets into a statement, a path or an answer.

    Not for `issues`: what is wrong with a run is the contract's to say.
    """
    try:
        msgspec.json.encode(given)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"The operation document holds what JSON cannot: {error}.") from None


def _named(value: Any) -> str:
    return f"a value of the type {type(value).__name__}"
