"""Reading: what a reader will look at goes from the server into tables of a DuckDB connection.

The days and the conditions become the server's query, the columns its projection. Documents come in
the driver's batches and leave as Arrow, so that at no time more than a batch of them is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from resources.backend import ISSUES as ISSUES_TABLE
from resources.backend import RUNS as RUNS_TABLE
from resources.backend import Pushdown
from resources.backends.mongodb.connection import Connection, Document
from resources.backends.mongodb.deletions import hidden
from resources.errors import Vanished
from resources.lake.read import duckdb_type
from resources.schema import ISSUES, RUN_DATE, RUNS

if TYPE_CHECKING:
    import duckdb
    from pymongo.client_session import ClientSession

_ROWS = 20_000
"""So many runs and issues go to DuckDB at a time."""
_RUN_OF_ISSUE = ("timestamp", "timestamp_micros", "target_plugin", "batch_id", "run_date", "parts")
_TABLES = {RUNS_TABLE: (*RUNS, RUN_DATE), ISSUES_TABLE: (*ISSUES, RUN_DATE)}


def define(
    connection: Connection,
    duck: duckdb.DuckDBPyConnection,
    first: date | None,
    last: date | None,
    tables: Sequence[str],
    pushdown: Pushdown,
) -> None:
    """Create the temporary tables `tables` in `duck`. Raises `StorageError` or `Vanished`."""
    for table in tables:
        columns = ", ".join(f"{c.name} {duckdb_type(c)}" for c in _TABLES[table])
        duck.execute(f"CREATE TEMP TABLE {table} ({columns})")
    batches = _batches(connection, selection(first, last, tables, pushdown), projection(tables, pushdown))
    while True:
        with connection.doing("read"):  # and not what DuckDB does with it
            heads = next(batches, None)
        if heads is None:
            return
        _insert(duck, heads, tables)


def selection(first: date | None, last: date | None, tables: Sequence[str], pushdown: Pushdown) -> Document:
    """Which documents to read: all that a reader of `tables` can want."""
    clauses: list[Document] = []
    for operator, day in (("$gte", first), ("$lte", last)):
        if day is not None:
            moment = datetime.combine(day, time.min if operator == "$gte" else time.max)
            clauses += [{"run_date": {operator: day.isoformat()}}, {"timestamp": {operator: moment}}]
    for operator, moment_ in (("$gte", pushdown.since), ("$lte", pushdown.until)):
        if moment_ is not None:
            # The server has milliseconds, and forgets the rest of what it is given, too.
            clauses.append(
                {"timestamp": {operator: moment_ - timedelta(microseconds=moment_.microsecond % 1000)}}
            )
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
    if ISSUES_TABLE not in tables:
        return {"issues": 0, "parts": 0}
    fields: Document = dict.fromkeys(_RUN_OF_ISSUE, 1)
    if RUNS_TABLE in tables:
        fields |= {c.name: 1 for c in RUNS if c.name != "validation_run_id"} | {"stored_at_micros": 1}
    wanted = _wanted(pushdown)
    if not wanted:
        return {**fields, "issues": 1}
    such = [{"$in": [f"$$this.{name}", {"$literal": values}]} for name, values in wanted.items()]
    return {**fields, "issues": {"$filter": {"input": "$issues", "cond": {"$and": such}}}}


def _batches(connection: Connection, query: Document, fields: Document) -> Iterator[list[Document]]:
    """The documents, so many at a time as have about `_ROWS` rows."""
    from bson.codec_options import DatetimeConversion

    collections = connection.reading
    options = collections.runs.codec_options.with_options(datetime_conversion=DatetimeConversion.DATETIME_MS)
    runs = collections.runs.with_options(options)
    with connection.session() as session:
        gone = hidden(collections, session)
        deletions = 0 if session else collections.deletions.count_documents({})
        seen: set[str] = set()
        heads: list[Document] = []
        rows = 0
        with runs.find(query, fields, session=session) as cursor:
            for head in cursor:
                if (head["_id"], head["batch_id"]) in gone:
                    continue
                if session is None:  # then an index may show a run again that has moved on in it
                    if head["_id"] in seen:
                        raise Vanished(
                            f"A run in {connection.url} was replaced while it was read: read again."
                        )
                    seen.add(head["_id"])
                if "parts" in head:
                    _join(connection, head, session)
                heads.append(head)
                rows += 1 + len(head.get("issues", ()))
                if rows >= _ROWS:
                    yield heads
                    heads, rows = [], 0
        if session is None and collections.deletions.count_documents({}) != deletions:
            raise Vanished(f"Runs in {connection.url} were deleted while they were read: read again.")
        yield heads


def _join(connection: Connection, head: Document, session: ClientSession | None) -> None:
    from resources.backends.mongodb.documents import join

    query = {"_id": {"$in": head["parts"]}}
    found = {part["_id"]: part for part in connection.reading.parts.find(query, session=session)}
    if len(found) < len(head["parts"]):
        raise Vanished(f"A run in {connection.url} was replaced while it was read: read again.")
    join(head, [found[i] for i in head["parts"]])


def _insert(duck: duckdb.DuckDBPyConnection, heads: list[Document], tables: Sequence[str]) -> None:
    from resources.backends.mongodb.documents import issues_table, runs_table

    runs = runs_table(heads)
    for table in tables:
        rows = runs if table == RUNS_TABLE else issues_table(heads, runs)
        duck.register("arrived", rows)
        duck.execute(f"INSERT INTO {table} BY NAME FROM arrived")
        duck.unregister("arrived")
