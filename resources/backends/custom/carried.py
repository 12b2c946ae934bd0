"""Runs as a PlugPipe plugin is given them, and as its `get_issues` gives them back.

`get_issues` answers issues: what belongs to their run alone would be lost, and so would their order
and which copy of the run they are of. So each issue carries that along in its `details`, and the
run in its `metadata`, for plugins that give whole runs back; the key is `issuelake`. What comes back
without it, because somebody else has stored it or the plugin drops it, is read as far as it goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from resources.backends.documents.model import STAMP, Stamp
from resources.errors import StorageError, Vanished
from resources.schema import ISSUE_FIELDS, ISSUES, RUN_DATE, RUN_FIELDS, RUNS

Document = dict[str, Any]

_OF_RUN = ("validation_run_id", "timestamp", "target_plugin")
"""What an issue says of its run."""
_DERIVED = {c.name for c in (*RUNS, *ISSUES, RUN_DATE)} - ISSUE_FIELDS - RUN_FIELDS
"""Columns that answers have beside the fields of a run file."""
_NOT_OF_ISSUE = _DERIVED | RUN_FIELDS - ISSUE_FIELDS


class Head(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What issues do not say of their run: how many they are, its other fields, and the stamp among them."""

    count: int
    fields: Document

    @property
    def copy(self) -> str:
        """The name of the copy; of a later one it is greater."""
        stamp = msgspec.convert(self.fields.get(STAMP), Stamp)
        return f"{stamp.stored_at:020d}-{stamp.batch_id}"


class Note(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What an issue carries along: its copy of the run, its place, and what is not its details'."""

    copy: str
    place: int
    extra: Document = {}
    bare: bool = False
    """It has no details of its own."""
    own: Any = UNSET
    """What its details have under the same key."""
    run: Head | None = None


class _Copy:
    """What came back of one copy of a run."""

    def __init__(self, run: Document) -> None:
        self.run = run
        self.head: Head | None = None
        self.issues: dict[int, Document] = {}

    def whole(self) -> bool:
        return self.head is not None and sorted(self.issues) == list(range(self.head.count))

    def document(self) -> Document:
        assert self.head is not None
        issues = [self.issues[place] for place in sorted(self.issues)]
        return self.run | self.head.fields | {"issues_list": issues}


def laden(document: bytes) -> Document:
    """A run as the plugin is given it, from what `DocumentBackend.put` is given."""
    run = msgspec.json.decode(document)
    issues = run.pop("issues_list")
    head = Head(len(issues), {name: value for name, value in run.items() if name != "validation_run_id"})
    given = []
    for place, issue in enumerate(issues):
        details = issue.get("details", {})
        note = Note(
            head.copy,
            place,
            {name: value for name, value in issue.items() if name not in ISSUE_FIELDS},
            "details" not in issue,
            details.get(STAMP, UNSET),
            head if place == 0 else None,
        )
        given.append(issue | {"details": details | {STAMP: msgspec.to_builtins(note)}})
    own = {name: value for name, value in run.items() if name != STAMP}
    metadata = run.get("metadata", {}) | {STAMP: msgspec.to_builtins(head)}
    return own | {"metadata": metadata, "issues_list": given}


def restored(answered: Iterable[Any], history: Iterable[Any], where: str) -> Iterator[Document]:
    """The runs, as documents, that came back from `get_issues` (issues or whole runs) and, those
    without issues, from `get_issue_history`. Raises `StorageError`, or `Vanished` for half a run."""
    copies: dict[str, dict[str, _Copy]] = {}
    others: dict[str, Document] = {}
    for element in answered:
        given = _without_nulls(element, where)
        run = {name: given[name] for name in _OF_RUN if name in given}
        if "issues_list" not in given:
            if not _take_issue(copies, run, given):
                _of_others(others, given)["issues_list"].append(_foreign_issue(given))
            continue
        head: Head | None = _note(given.get("metadata"), Head)
        if head is not None:
            copies.setdefault(given["validation_run_id"], {}).setdefault(head.copy, _Copy(run)).head = head
        listed = given["issues_list"] if isinstance(given["issues_list"], list) else [None]
        issues = [_without_nulls(issue, where, ()) for issue in listed]
        foreign = [_foreign_issue(issue) for issue in issues if not _take_issue(copies, run, issue)]
        if head is None:
            _of_others(others, given)["issues_list"] += foreign
    for run_id, of_run in copies.items():
        newest = max(of_run)
        if not of_run[newest].whole():
            found = len(of_run[newest].issues)
            raise Vanished(
                f"{where} gives back {found} issues of the run {run_id!r}, and not all: it is being stored,"
                " or the plugin does not keep every issue."
            )
        yield of_run[newest].document()
    for row in history:
        _complete(others, copies, row)
    yield from (run for run_id, run in others.items() if run_id not in copies)


def _take_issue(copies: dict[str, dict[str, _Copy]], run: Document, given: Document) -> bool:
    """Put an issue that carries a note where it belongs; whether it does."""
    note = _note(given.get("details"), Note)
    if note is None:
        return False
    issue = {name: value for name, value in given.items() if name in ISSUE_FIELDS and name != "details"}
    own = {name: value for name, value in given["details"].items() if name != STAMP}
    if note.own is not UNSET:
        own[STAMP] = note.own
    copy = copies.setdefault(run["validation_run_id"], {}).setdefault(note.copy, _Copy(run))
    copy.issues[note.place] = issue | ({} if note.bare else {"details": own}) | note.extra
    copy.head = note.run or copy.head
    return True


def _note(carrier: Any, kind: type[Any]) -> Any:
    """What is carried in the details of an issue or the metadata of a run; None: nothing of ours."""
    try:
        note = msgspec.convert(carrier.get(STAMP) if isinstance(carrier, Mapping) else None, kind)
        _ = note.run.copy if isinstance(note, Note) and note.run else getattr(note, "copy", "")
    except msgspec.ValidationError:
        return None
    return note


def _of_others(others: dict[str, Document], given: Document) -> Document:
    """The run, stored by somebody else, that an issue or a run that came back is of."""
    fields = {name: value for name, value in given.items() if name in RUN_FIELDS}
    if "issues_list" in given:
        extra = given.get("extra")
        fields |= extra if isinstance(extra, dict) else {}
        fields |= {name: v for name, v in given.items() if name not in _DERIVED | RUN_FIELDS}
    return others.setdefault(given["validation_run_id"], fields | {"issues_list": []})


def _foreign_issue(given: Document) -> Document:
    extra = given.get("extra")
    own = {name: value for name, value in given.items() if name not in _NOT_OF_ISSUE}
    return own | (extra if isinstance(extra, dict) else {})


def _complete(others: dict[str, Document], copies: Mapping[str, Any], row: Any) -> None:
    """Add what the history knows of a run: its score, and that it is there at all."""
    run_id = row.get("validation_run_id") if isinstance(row, Mapping) else None
    if not isinstance(run_id, str) or run_id in copies:
        return
    known = {name: row[name] for name in (*_OF_RUN, "pipeline_score") if row.get(name) is not None}
    if run_id in others:
        others[run_id] = known | others[run_id]
    elif row.get("total_issues") == 0:
        others[run_id] = known | {"issues_list": []}


def _without_nulls(element: Any, where: str, required: tuple[str, ...] = ("validation_run_id",)) -> Document:
    """An issue or a run that came back; what answers have as null is absent in a run file."""
    if not isinstance(element, Mapping) or any(not isinstance(element.get(n), str) for n in required):
        raise StorageError(
            f"{where} answers get_issues with what is no issue that names its run (validation_run_id), and"
            " no run (issues_list): it cannot be read as a storage."
        )
    return {name: value for name, value in element.items() if value is not None}
