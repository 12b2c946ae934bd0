"""The filters of the contract's `query`, checked, and compiled to SQL over the views of a lake.

A query has two sides: what selects runs (plugin, dates, run id), which also says which days must
be read at all, and what selects issues within them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any

import msgspec

from resources.backend import Pushdown
from resources.errors import QueryError
from resources.schema import ISSUES, RUN_DATE, SEVERITIES

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_WORDS = 100
MAX_DEPTH = 999_999
"""So far down in what a query selects a page may reach."""
NEWEST_FIRST = (("timestamp", "DESC"), ("validation_run_id", "ASC"), ("issue_index", "ASC"))
SEARCHED = ("description", "recommendation", "file_path")
SORTABLE = frozenset(c.name for c in (*ISSUES, RUN_DATE)) - {"details", "extra"}
_COLUMNS = frozenset(c.name for c in (*ISSUES, RUN_DATE))
_NAME = re.compile(r"\w+")
_GLOB = re.compile(r"(\*\*/)|(\*+)|(\?)|\[(!?)(\]?[^\]]+)\]|(.)", re.DOTALL)


class Query(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a caller may ask for; see `docs/asking.md` for each key.

    `all` and `dry_run` are for deleting alone.
    """

    severity: list[str] = []
    category: list[str] = []
    plugin_name: str | None = None
    date_from: str | None = None
    date_to: str | None = None
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    text: str | None = None
    file_path: str | None = None
    run_id: str | None = None
    fingerprint: str | None = None
    min_severity: str | None = None
    sort: str | None = None
    where: str | None = None
    all: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Compiled:
    """A query as SQL: conditions with their parameters, the order, the days to read."""

    first: date | None
    last: date | None
    runs_where: str
    runs_parameters: list[Any]
    issues_where: str
    issues_parameters: list[Any]
    order_by: list[tuple[str, str]]
    """Columns, each with ASC or DESC; what has no value comes last."""
    order: str
    sort_key: str
    """What `order` says, as arguments of DuckDB's `create_sort_key`."""
    limit: int
    offset: int
    selects_issues: bool
    """False when every issue of the selected runs is asked for."""
    exact: bool
    """Whether the pushdown says all that is asked of an issue, and the newest come first, as by its limit."""
    pushdown: Pushdown
    """With the columns that conditions and order name."""

    def asking_for(self, *columns: str) -> Pushdown:
        """The pushdown of a reader that names these columns besides."""
        assert self.pushdown.columns is not None
        return replace(self.pushdown, columns=self.pushdown.columns | frozenset(columns))


def parse(keys: dict[str, Any]) -> Query:
    """A query document as a `Query`. Raises `QueryError`."""
    try:
        return msgspec.convert(keys, Query)
    except msgspec.ValidationError as error:
        known = ", ".join(Query.__struct_fields__)
        raise QueryError(f"query: {error}; its keys are {known}.") from None


def compile(query: Query) -> Compiled:
    """Check `query` and turn it into SQL. Raises `QueryError`."""
    if query.all or query.dry_run:
        key = "all" if query.all else "dry_run"
        raise QueryError(f"query.{key} is for delete_issues; leave it out where nothing is deleted.")
    _check_texts(query)
    if not 1 <= query.limit <= MAX_LIMIT:
        raise QueryError(f"query.limit is {query.limit}, which is not from 1 to {MAX_LIMIT}.")
    if query.offset < 0:
        raise QueryError(f"query.offset is {query.offset}, which is less than 0.")
    if query.offset + query.limit > MAX_DEPTH:
        raise QueryError(
            f"query.offset and query.limit reach further than {MAX_DEPTH} issues;"
            " narrow the query down, or export what it selects."
        )
    start, end = _moment("date_from", query.date_from, time.min), _moment("date_to", query.date_to, time.max)
    runs = _Conditions()
    runs.add("target_plugin = ?", query.plugin_name)
    runs.add("validation_run_id = ?", query.run_id)
    runs.add('"timestamp" >= ?', start)
    runs.add('"timestamp" <= ?', end)
    issues = _Conditions()
    severities = _severities(query)
    if severities is not None:
        issues.add(f"severity IN ({_marks(severities)})", *severities)
    if query.category:
        issues.add(f"category IN ({_marks(query.category)})", *query.category)
    issues.add("fingerprint = ?", query.fingerprint)
    if query.file_path is not None:
        # Not regexp_full_match: DuckDB asks this once for each distinct path, that for each row.
        issues.add("regexp_matches(file_path, ?, 's')", _regex(query.file_path))
    for word in _words(query.text or ""):
        # Column by column: DuckDB then lowers each distinct text once, not each row's.
        found = " OR ".join(f"contains(lower({column}), lower(?))" for column in SEARCHED)
        issues.add(f"({found})", *[word] * len(SEARCHED))
    if query.where is not None:
        from assets.where import compiled

        condition, values = compiled(query.where)
        issues.add(condition, *values)
    order = _order(query.sort)
    named = " ".join([*runs.conditions, *issues.conditions, *(name for name, _ in order)])
    return Compiled(
        first=start.date() if start else None,
        last=end.date() if end else None,
        runs_where=runs.sql(),
        runs_parameters=runs.parameters,
        issues_where=_Conditions.joined(runs, issues),
        issues_parameters=runs.parameters + issues.parameters,
        order_by=order,
        order=", ".join(f'"{name}" {direction} NULLS LAST' for name, direction in order),
        sort_key=", ".join(f"\"{name}\", '{direction} NULLS LAST'" for name, direction in order),
        limit=query.limit,
        offset=query.offset,
        selects_issues=bool(issues.conditions),
        exact=(query.file_path, query.text, query.where) == (None, None, None)
        and order[0] == NEWEST_FIRST[0],
        pushdown=Pushdown(
            query.plugin_name,
            query.run_id,
            start,
            end,
            None if severities is None else tuple(severities),
            tuple(query.category) or None,
            query.fingerprint,
            columns=frozenset(_NAME.findall(named)) & _COLUMNS,
        ),
    )


class _Conditions:
    """Conditions that must all hold, and the values of their question marks."""

    def __init__(self) -> None:
        self.conditions: list[str] = []
        self.parameters: list[Any] = []

    def add(self, condition: str, *values: Any) -> None:
        """Add `condition`, unless its one value is None: then nobody asked for it."""
        if values != (None,):
            self.conditions.append(condition)
            self.parameters += values

    def sql(self) -> str:
        return " AND ".join(self.conditions) or "true"

    @staticmethod
    def joined(*parts: _Conditions) -> str:
        return " AND ".join(part.sql() for part in parts)


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


def _check_texts(query: Query) -> None:
    """Refuse what UTF-8 cannot hold, and so no text of a lake."""
    for name in query.__struct_fields__:
        value = getattr(query, name)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
                raise QueryError(f"query.{name} has half a surrogate pair, which is not a character.")


def _words(text: str) -> list[str]:
    """What to look for, each word once."""
    words = list(dict.fromkeys(text.split()))
    if len(words) > MAX_WORDS:
        raise QueryError(f"query.text has {len(words)} words, which is more than {MAX_WORDS}.")
    return words


def _regex(glob: str) -> str:
    """`glob` as a regular expression of DuckDB's, whose own GLOB goes by bytes, not characters."""
    pattern = ""
    for folders, stars, one, negated, characters, other in _GLOB.findall(glob):
        if folders:
            pattern += "(?:.*/)?"
        elif stars:
            pattern += ".*"
        elif one:
            pattern += "."
        elif characters:
            inside = re.sub(r"([^-\w])", r"\\\1", characters)
            pattern += f"[{'^' if negated else ''}{inside}]"
        else:
            pattern += re.escape(other)
    try:
        re.compile(pattern)
    except re.error as error:
        raise QueryError(f"query.file_path is {glob!r}, which is not a glob: {error.msg}.") from None
    return rf"\A{pattern}\z"


def _severities(query: Query) -> list[str] | None:
    """The severities that both `severity` and `min_severity` let through; None: all."""
    for severity in [*query.severity, *filter(None, [query.min_severity])]:
        if severity not in SEVERITIES:
            raise QueryError(f"{severity!r} is not a severity; they are {', '.join(SEVERITIES)}.")
    if not query.severity and query.min_severity is None:
        return None
    worst = SEVERITIES[: SEVERITIES.index(query.min_severity) + 1] if query.min_severity else SEVERITIES
    return [s for s in worst if not query.severity or s in query.severity]


def _moment(key: str, text: str | None, of_day: time) -> datetime | None:
    """A day (its first or last moment) or an RFC 3339 date-time, as UTC."""
    if text is None:
        return None
    try:
        if len(text) == len("2025-08-29"):
            return datetime.combine(date.fromisoformat(text), of_day, UTC)
        moment = msgspec.convert(text, datetime)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, msgspec.ValidationError, OverflowError):
        raise QueryError(f"query.{key} is {text!r}, which is neither YYYY-MM-DD nor a date-time.") from None


def _order(sort: str | None) -> list[tuple[str, str]]:
    """What to order by; ends in what makes the order of any two issues certain, so pages are stable."""
    order = []
    for key in (sort or "").split(","):
        name = key.strip().removeprefix("-")
        if not name:
            continue
        if name not in SORTABLE:
            raise QueryError(f"Cannot sort by {name!r}; one can by {', '.join(sorted(SORTABLE))}.")
        order.append((name, "DESC" if key.strip().startswith("-") else "ASC"))
    return [*order, *NEWEST_FIRST]


def in_order(rows: list[dict[str, Any]], order: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """`rows` as DuckDB's ORDER BY has them: texts by their characters' numbers, severities by how bad."""
    ordered = list(rows)
    for name, direction in reversed(order):
        ordered.sort(key=_rank(name, direction == "DESC"), reverse=direction == "DESC")
    return ordered


def _rank(name: str, reverse: bool) -> Callable[[dict[str, Any]], Any]:
    def rank(row: dict[str, Any]) -> Any:
        value = row[name]
        if name == "severity":
            value = SEVERITIES.index(value)
        return ((value is None) != reverse, value)

    return rank
