"""Answers: the reading operations, each one document of the contract's shape.

Timestamps in answers are RFC 3339 in UTC; `details`, `metadata` and `extra` are objects again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from assets import query as queries
from assets.query import Compiled, Query
from resources.backend import BOTH, COUNTED, Newest, Pushdown
from resources.backend import ISSUES as ISSUES_TABLE
from resources.backend import RUNS as RUNS_TABLE
from resources.config import Storage
from resources.errors import QueryError
from resources.schema import ISSUES, RUN_FIELDS, RUNS, SEVERITY_COUNTS
from resources.session import sql
from resources.telemetry import Value, traced

if TYPE_CHECKING:
    import duckdb

Answer = dict[str, Any]
T = TypeVar("T")

_JSON_COLUMNS = frozenset(c.name for c in (*RUNS, *ISSUES) if c.type == "json")
_AS_IN_JSON = frozenset(c.name for c in (*RUNS, *ISSUES) if c.type in {"string", "int16", "int32"})
_ISSUE_COLUMNS = tuple(c.name for c in ISSUES if c.name != "batch_id")
_KEY_COLUMNS = ("run_date", "target_plugin", "validation_run_id", "issue_index")
_PAGE_COLUMNS = (*_ISSUE_COLUMNS, *_KEY_COLUMNS)
_FEW_ISSUES = 50_000
"""Of so many issues whole rows are quicker to carry along than to fetch afterwards."""
_HISTORY_COLUMNS = ("validation_run_id", "timestamp", "target_plugin", "pipeline_score", *SEVERITY_COUNTS)
_RUN_COLUMNS = tuple(c.name for c in RUNS)


def answer(operation: str, storage: Storage, records: int, **parts: Any) -> Answer:
    """An answer document: what was asked, of which storage, how many records, and `parts`."""
    return {
        "success": True,
        "operation_result": operation_result(operation, storage.used, records) | selection(storage),
        **parts,
    }


def selection(storage: Storage) -> Answer:
    """Which backends were tried, where there are several to choose from."""
    if storage.trace is None:
        return {}
    return {"selection": [msgspec.to_builtins(attempt) for attempt in storage.trace.attempts]}


def operation_result(operation: str, backend: str, records: int) -> Answer:
    """The part of an answer that every operation has, whether it went well or not."""
    return {
        "operation": operation,
        "storage_backend_used": backend,
        "timestamp": _plain(datetime.now(UTC)),
        "records_affected": records,
    }


def _told(answered: Answer, *_: object) -> dict[str, Value]:
    done = answered["operation_result"]
    return {
        "query": done["operation"],
        "backend": done["storage_backend_used"],
        "rows": done["records_affected"],
    }


@traced("query", _told)
def issues(storage: Storage, query: Query, operation: str = "get_issues") -> Answer:
    """The issues that `query` selects, newest run first.

    `total_count` counts the issues of the runs that plugin, dates and run id select;
    `filtered_count` those that pass every filter; `returned_count` is this page's.
    """
    compiled = queries.compile(query)
    limited = replace(compiled.asking_for(*_ISSUE_COLUMNS), limit=compiled.offset + compiled.limit)
    limits = compiled.exact and storage.backend.limits(limited)
    newest = storage.backend.newest(limited, compiled.first, compiled.last) if limits else None
    if newest is not None:
        total, filtered, rows = _page_of(newest, compiled)
    elif limits:
        total, filtered, rows = reading(
            storage, partial(_page_counted, compiled=compiled), compiled, (ISSUES_TABLE, COUNTED), limited
        )
    else:
        asked = compiled.asking_for(*_PAGE_COLUMNS, *SEVERITY_COUNTS)
        total, filtered, rows = reading(storage, partial(_page, compiled=compiled), compiled, BOTH, asked)
    data = {
        "issues": rows,
        "total_count": total,
        "filtered_count": filtered,
        "returned_count": len(rows),
        "limit": compiled.limit,
        "offset": compiled.offset,
    }
    return answer(operation, storage, len(rows), issues_data=data)


_Page = tuple[int, int, list[Answer]]
"""How many issues the runs have, at most so many that pass every filter, and the page that is asked for."""


def _page_of(newest: Newest, compiled: Compiled) -> _Page:
    """What the storage has found, put in order here: DuckDB would take longer than the storage did."""
    rows = queries.in_order(newest.issues, compiled.order_by)[compiled.offset :][: compiled.limit]
    page = ([row[name] for name in _ISSUE_COLUMNS] for row in rows)
    return newest.total, newest.filtered, _documents(_ISSUE_COLUMNS, page)


def _page_counted(connection: duckdb.DuckDBPyConnection, compiled: Compiled) -> _Page:
    """What the storage has counted, and left nothing but the first issues of."""
    total, filtered = connection.execute(sql("assets", "counted")).fetchall()[0]
    return total, filtered, _first(connection, compiled)


def _first(connection: duckdb.DuckDBPyConnection, compiled: Compiled) -> list[Answer]:
    return _rows(
        connection,
        "issues_page",
        compiled.issues_parameters,
        columns=_listed(_ISSUE_COLUMNS),
        where=compiled.issues_where,
        order=compiled.order,
        limit=compiled.limit,
        offset=compiled.offset,
    )


def _page(connection: duckdb.DuckDBPyConnection, compiled: Compiled) -> _Page:
    """One pass gives both the count and the page.

    Of a few issues it brings the rows at once; of many it brings the keys of the page, and the rows
    of those are fetched then.
    """
    total = _one(connection, "issues_of_runs", compiled.runs_parameters, where=compiled.runs_where)[0]
    if not compiled.selects_issues:  # then the order may tell DuckDB what need not be read
        return total, total, _first(connection, compiled)
    few = total <= _FEW_ISSUES
    columns = _ISSUE_COLUMNS if few else _KEY_COLUMNS
    filtered, found = _one(
        connection,
        "issues_counted",
        compiled.issues_parameters,
        columns=", ".join(f'"{name}" := "{name}"' for name in columns),
        sort_key=compiled.sort_key,
        where=compiled.issues_where,
        limit=compiled.offset + compiled.limit,
    )
    page = (found or [])[compiled.offset :]
    if few or not page:
        return total, filtered, _documents(columns, (row.values() for row in page))
    keys = [list(column) for column in zip(*(key.values() for key in page), strict=True)]
    rows = _rows(connection, "issues_by_key", keys, columns=_listed(_ISSUE_COLUMNS))
    by_key = {(row["validation_run_id"], row["issue_index"]): row for row in rows}
    return total, filtered, [by_key[key["validation_run_id"], key["issue_index"]] for key in page]


@traced("query", _told)
def latest(storage: Storage, plugin: str | None = None) -> Answer:
    """The newest run (of `plugin`) whole, as a run file would hold it, or null where there is none."""
    where, parameters = ("target_plugin = ?", [plugin]) if plugin is not None else ("true", [])

    def newest_day(connection: duckdb.DuckDBPyConnection) -> date | None:
        day: date | None = _one(connection, "newest_day", parameters, where=where)[0]
        return day

    def newest_run(connection: duckdb.DuckDBPyConnection) -> Answer | None:
        runs = _rows(connection, "newest_run", parameters, columns=_listed(_RUN_COLUMNS), where=where)
        if not runs:
            return None
        keys = [runs[0]["target_plugin"], runs[0]["validation_run_id"]]
        return _run_document(
            runs[0], _rows(connection, "issues_of_run", keys, columns=_listed(_ISSUE_COLUMNS))
        )

    whose = Pushdown(plugin=plugin, newest=True)
    document = None
    if storage.backend.limits(whose):
        document = storage.backend.reading(newest_run, pushdown=whose)
    else:
        for first, last in _back_in_time(storage.backend.days()):
            # Only the day that has the run is opened for its issues.
            day: date | None = last
            if first != last:
                day = storage.backend.reading(newest_day, first, last, (RUNS_TABLE,), whose)
            document = storage.backend.reading(newest_run, day, day, pushdown=whose) if day else None
            if document is not None:
                break
    found = 0 if document is None else len(document["issues_list"])
    return answer("get_latest_issues", storage, found, issues_data=document)


@traced("query", _told)
def summary(storage: Storage, query: Query) -> Answer:
    """The figures of the newest run, and under `overall` those of everything that `query` selects."""
    compiled = queries.compile(query)

    def work(connection: duckdb.DuckDBPyConnection) -> Answer:
        by_category = _rows(
            connection, "issues_by_category", compiled.issues_parameters, where=compiled.issues_where
        )
        runs = _rows(connection, "runs_summary", compiled.runs_parameters, where=compiled.runs_where)[0]
        counts = {column: runs[column] for column in SEVERITY_COUNTS}
        if compiled.selects_issues:
            counts = dict.fromkeys(SEVERITY_COUNTS, 0)
            for row in by_category:
                counts[f"{row['severity']}_issues"] += row["issues"]
        return {"runs": runs["runs"], **_figures(counts, by_category, runs["average_score"])}

    asked = compiled.asking_for("category", "severity", "pipeline_score", *SEVERITY_COUNTS)
    overall = reading(storage, work, compiled, BOTH, asked)
    newest = latest(storage, query.plugin_name)["issues_data"]
    if newest is None:
        figures = _figures(dict.fromkeys(SEVERITY_COUNTS, 0), [], None)
    else:
        rows = [{"category": i.get("category", "none"), "issues": 1} for i in newest["issues_list"]]
        figures = _figures({c: newest[c] for c in SEVERITY_COUNTS}, rows, newest.get("pipeline_score"))
    latest_run = None if newest is None else newest["validation_run_id"]
    issue_summary = {
        **figures,
        "latest_validation_run": latest_run,
        "overall": {**overall, "latest_validation_run": latest_run},
    }
    return answer("get_issue_summary", storage, overall["total_issues"], issue_summary=issue_summary)


@traced("query", _told)
def history(storage: Storage, query: Query) -> Answer:
    """A row per run, oldest first; of more runs than `limit` the newest, `offset` counted from the end."""
    compiled = queries.compile(query)
    if compiled.selects_issues:
        raise QueryError(
            "history is of whole runs: it takes plugin_name, run_id, date_from, date_to, limit, offset."
        )
    plugin = ("target_plugin = ?", [query.plugin_name]) if query.plugin_name is not None else ("true", [])

    def work(connection: duckdb.DuckDBPyConnection) -> list[Answer]:
        return _rows(
            connection,
            "history",
            plugin[1] + compiled.runs_parameters,
            plugin=plugin[0],
            where=compiled.runs_where,
            limit=compiled.limit,
            offset=compiled.offset,
        )

    asked = compiled.asking_for("fingerprint", "stored_at", *_HISTORY_COLUMNS)
    pushdown = Pushdown(plugin=query.plugin_name, until=compiled.pushdown.until, columns=asked.columns)
    rows = storage.backend.reading(work, None, compiled.last, pushdown=pushdown)
    return answer("get_issue_history", storage, len(rows), issues_data={"history": rows})


def reading(
    storage: Storage,
    work: Callable[[duckdb.DuckDBPyConnection], T],
    compiled: Compiled,
    tables: Sequence[str],
    pushdown: Pushdown,
) -> T:
    """What `work` answers about what `compiled` selects, given `tables` of what `pushdown` says.

    Raises `QueryError` and `StorageError`.
    """
    import duckdb

    try:
        return storage.backend.reading(work, compiled.first, compiled.last, tables, pushdown)
    except duckdb.IOException:
        raise
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise QueryError(f"query: DuckDB cannot carry it out: {reason}") from error


def _back_in_time(days: Sequence[date]) -> Iterator[tuple[date, date]]:
    """Spans of days from the newest back, each twice as many days as the one before."""
    end, size = len(days), 1
    while end > 0:
        start = max(0, end - size)
        yield days[start], days[end - 1]
        end, size = start, size * 2


def _run_document(run: Answer, found: list[Answer]) -> Answer:
    """A run and its issues in the shape of a run file, unknown fields where they stood."""
    own = {name: run[name] for name in run if name in RUN_FIELDS and run[name] is not None}
    counts = {name: run[name] for name in SEVERITY_COUNTS}
    listed = []
    for issue in found:
        fields = {c.name: issue[c.name] for c in ISSUES if c.run_file_field and issue[c.name] is not None}
        listed.append({**fields, **(issue["extra"] or {}), "fingerprint": issue["fingerprint"]})
    return {
        **own,
        **(run["extra"] or {}),
        "source": run["source"],
        "stored_at": run["stored_at"],
        "total_issues": len(listed),
        **counts,
        "issues_list": listed,
    }


def _figures(counts: dict[str, int], by_category: list[Answer], score: float | None) -> Answer:
    categories: dict[str, int] = {}
    for row in by_category:
        categories[row["category"]] = categories.get(row["category"], 0) + row["issues"]
    ordered = sorted(categories.items(), key=lambda item: (-item[1], item[0]))
    return {
        "total_issues": sum(counts.values()),
        **counts,
        "issues_by_category": dict(ordered),
        "average_score": score,
    }


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _one(connection: duckdb.DuckDBPyConnection, name: str, parameters: list[Any], **parts: Any) -> Any:
    return connection.execute(sql("assets", name).format(**parts), parameters).fetchall()[0]


def _rows(
    connection: duckdb.DuckDBPyConnection, name: str, parameters: list[Any], **parts: Any
) -> list[Answer]:
    """The rows of `assets/sql/<name>.sql` as documents."""
    result = connection.execute(sql("assets", name).format(**parts), parameters)
    return _documents([column[0] for column in result.description], result.fetchall())


def _documents(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> list[Answer]:
    """Rows as documents; only columns that may hold what JSON does not have are looked at."""
    others = [name for name in columns if name not in _AS_IN_JSON]
    documents = []
    for row in rows:
        document = dict(zip(columns, row, strict=True))
        for name in others:
            value = document[name]
            if name not in _JSON_COLUMNS:
                document[name] = _plain(value)
            elif value is not None:
                document[name] = msgspec.json.decode(value)
        documents.append(document)
    return documents


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value
