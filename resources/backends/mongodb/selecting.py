"""What is asked of the server: which documents, which of their fields, and how many issues there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from resources.backend import ISSUES as ISSUES_TABLE
from resources.backend import RUNS as RUNS_TABLE
from resources.backend import Pushdown
from resources.backends.mongodb.connection import Collections, Document
from resources.backends.mongodb.deletions import Copies
from resources.backends.mongodb.documents import ISSUE_FIELDS, LONG_TEXTS, MOMENTS
from resources.schema import ISSUES, RUN_DATE, RUNS, SEVERITY_COUNTS, Column

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession

_RUN_OF_ISSUE = ("timestamp", "timestamp_micros", "target_plugin", "batch_id", "run_date", "parts")
_TABLES = {RUNS_TABLE: (*RUNS, RUN_DATE), ISSUES_TABLE: (*ISSUES, RUN_DATE)}
_IDS_AT_ONCE = 1000
_NEWEST_FIRST = [("timestamp", -1)]


def columns(table: str, pushdown: Pushdown) -> list[Column]:
    """The columns of `table` that are asked for, at least one."""
    every = _TABLES[table]
    return [c for c in every if pushdown.columns is None or c.name in pushdown.columns] or [every[0]]


def selection(first: date | None, last: date | None, tables: Sequence[str], pushdown: Pushdown) -> Document:
    """Which documents to read: all that a reader of `tables` can want."""
    clauses: list[Document] = []
    for operator, day in (("$gte", first), ("$lte", last)):
        if day is not None:
            moment = datetime.combine(day, time.min if operator == "$gte" else time.max)
            clauses += [{"run_date": {operator: day.isoformat()}}, {"timestamp": {operator: moment}}]
    for operator, beyond, moment_ in (("$gte", "$lt", pushdown.since), ("$lte", "$gt", pushdown.until)):
        if moment_ is not None:
            # The server has milliseconds, and forgets the rest of what it is given, too.
            micros = moment_.microsecond % 1000
            millisecond = moment_ - timedelta(microseconds=micros)
            clauses.append({"timestamp": {operator: millisecond}})
            clauses.append({"$nor": [{"timestamp": millisecond, "timestamp_micros": {beyond: micros}}]})
    if pushdown.plugin is not None:
        clauses.append({"target_plugin": pushdown.plugin})
    if pushdown.run_id is not None:
        clauses.append({"_id": pushdown.run_id})
    if pushdown.run_ids is not None:
        clauses.append({"_id": {"$in": list(pushdown.run_ids)}})
    if tuple(tables) == (ISSUES_TABLE,):  # a run without such issues has nothing to say
        clauses += _with_such_issues(pushdown)
    return {"$and": clauses} if clauses else {}


def _with_such_issues(pushdown: Pushdown) -> list[Document]:
    clauses: list[Document] = []
    if pushdown.severities is not None:
        counts = [{f"{severity}_issues": {"$gt": 0}} for severity in pushdown.severities]
        clauses.append({"$or": counts} if counts else {"_id": {"$in": []}})
    wanted = _wanted(pushdown)
    if wanted:
        such = {"issues": {"$elemMatch": {name: {"$in": values} for name, values in wanted.items()}}}
        clauses.append({"$or": [such, {"parts": {"$exists": True}}]})
    return clauses


def _wanted(pushdown: Pushdown) -> dict[str, list[str]]:
    """The values that the fields of an issue must have."""
    wanted = {}
    if pushdown.severities is not None:
        wanted["severity"] = list(pushdown.severities)
    if pushdown.categories is not None:
        wanted["category"] = list(pushdown.categories)
    if pushdown.fingerprint is not None:
        wanted["fingerprint"] = [pushdown.fingerprint]
    return wanted


def projection(tables: Sequence[str], pushdown: Pushdown) -> Document:
    """Which fields of the documents, and which of their issues, to read."""
    of_runs = {c.name for c in columns(RUNS_TABLE, pushdown)} if RUNS_TABLE in tables else set()
    fields: Document = dict.fromkeys(("batch_id", *sorted(of_runs - {"validation_run_id"})), 1)
    fields |= {f"{name}_micros": 1 for name in MOMENTS if name in of_runs}
    if of_runs & set(LONG_TEXTS):
        fields["parts"] = 1  # where they are, if they are long
    if ISSUES_TABLE in tables:
        fields |= {**dict.fromkeys(_RUN_OF_ISSUE, 1), "issues": _issues(pushdown)}
    return fields


def _issues(pushdown: Pushdown) -> Any:
    """Which of a document's issues, and which of their fields."""
    such = [{"$in": [f"$$this.{name}", {"$literal": values}]} for name, values in _wanted(pushdown).items()]
    issues: Any = {"$filter": {"input": "$issues", "cond": {"$and": such}}} if such else "$issues"
    if pushdown.columns is not None:
        named = {c.name: f"$$this.{c.name}" for c in columns(ISSUES_TABLE, pushdown)}
        issues = {
            "$map": {"input": issues, "in": {name: named[name] for name in named if name in ISSUE_FIELDS}}
        }
    return 1 if issues == "$issues" else issues


def narrowed(
    collections: Collections,
    first: date | None,
    last: date | None,
    pushdown: Pushdown,
    gone: Copies,
    session: ClientSession | None,
) -> Pushdown:
    """`pushdown`, without the runs before those that `newest` or `limit` let through.

    The runs are looked at from the newest back, by an index, until they have issues enough.
    """
    if not pushdown.newest and pushdown.limit is None:
        return pushdown
    fields = ["timestamp", "batch_id", *SEVERITY_COUNTS]
    query = selection(first, last, (RUNS_TABLE,), pushdown)
    left = 1 if pushdown.limit is None else pushdown.limit
    found = collections.runs.find(query, fields, session=session).sort(_NEWEST_FIRST)
    with found.batch_size(min(left + 1, _IDS_AT_ONCE)) as cursor:
        for head in cursor:
            if (head["_id"], head["batch_id"]) not in gone:
                left -= 1 if pushdown.newest else sum(head[name] for name in _counts(pushdown))
                if left <= 0:
                    # The server has milliseconds: others of the same one come along.
                    moment = head["timestamp"].replace(tzinfo=UTC)
                    return replace(pushdown, since=moment)
    return pushdown


def counted(
    collections: Collections,
    first: date | None,
    last: date | None,
    pushdown: Pushdown,
    gone: Copies,
    session: ClientSession | None,
) -> tuple[int, int]:
    """`total` and `filtered` of `resources.backend.COUNTED`."""
    match = selection(first, last, (RUNS_TABLE,), pushdown)
    sums = {
        "total": {"$sum": {"$add": [f"${name}" for name in SEVERITY_COUNTS]}},
        "filtered": {"$sum": {"$add": [0, *(f"${name}" for name in _counts(pushdown))]}},
    }

    def of(match: Document) -> tuple[int, int]:
        pipeline = [{"$match": match}, {"$group": {"_id": None, **sums}}]
        found = next(iter(collections.runs.aggregate(pipeline, session=session)), {"total": 0, "filtered": 0})
        return found["total"], found["filtered"]

    total, filtered = of(match)
    hidden = sorted(gone)
    for start in range(0, len(hidden), _IDS_AT_ONCE):
        these = [{"_id": i, "batch_id": batch} for i, batch in hidden[start : start + _IDS_AT_ONCE]]
        less = of({"$and": [match, {"$or": these}]})
        total, filtered = total - less[0], filtered - less[1]
    return total, filtered


def _counts(pushdown: Pushdown) -> tuple[str, ...]:
    """The fields that count the issues which a pushdown without other conditions lets through."""
    return (
        SEVERITY_COUNTS if pushdown.severities is None else tuple(f"{s}_issues" for s in pushdown.severities)
    )
