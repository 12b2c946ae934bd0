"""Lists of problems, and problems found by the beginning of their fingerprint."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from assets.problems.columns import DECISIONS, STATUSES, UNDECIDED
from assets.problems.relation import Asked, reading_problems
from resources.backend import Backend
from resources.errors import UsageError
from resources.schema import SEVERITIES
from resources.session import sql

PRESENT = tuple(status for status in STATUSES if status != "fixed")
BREACHED, DUE = "breached", "due"
_SLA = {BREACHED: "sla_days_left < 0", DUE: "sla_days_left >= 0"}

Problem = dict[str, Any]
"""A row of the view `problems`."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which problems; nothing given is no filter, but of the status: then what is not fixed."""

    status: Sequence[str] = ()
    severity: Sequence[str] = ()
    plugin: str | None = None
    triage: Sequence[str] = ()
    sla: str | None = None
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """`problems` of the `total` that pass the filters."""

    problems: list[Problem]
    total: int


def problems(lake: Backend, filters: Filters, asked: Asked | None = None) -> Page:
    """The problems that pass, the worst first. Raises `UsageError`, `StorageError`."""
    conditions: list[str] = []
    values: list[Any] = []
    for column, given, known in (
        ("status", filters.status or PRESENT, STATUSES),
        ("severity::VARCHAR", filters.severity, SEVERITIES),
        ("triage", filters.triage, (UNDECIDED, *DECISIONS)),
    ):
        _check(column.partition(":")[0], given, known)
        if given:
            conditions.append(f"{column} IN (SELECT unnest(?::VARCHAR[]))")
            values.append(list(given))
    if filters.plugin is not None:
        conditions.append("target_plugin = ?")
        values.append(filters.plugin)
    if filters.sla is not None:
        _check("sla", [filters.sla], list(_SLA))
        conditions.append(_SLA[filters.sla])

    def page(connection: Any, offset: int, limit: int) -> list[Problem]:
        text = sql("assets.problems", "problems_page").format(
            where=" AND ".join(conditions), limit=limit, offset=offset
        )
        rows: list[Problem] = connection.sql(text, params=values).to_arrow_table().to_pylist()
        return rows

    def work(connection: Any) -> Page:
        rows = page(connection, filters.offset, filters.limit)
        counted = rows or page(connection, 0, 1)  # past the end nothing says how many there are
        total = counted[0]["total"] if counted else 0
        return Page([{name: row[name] for name in row if name != "total"} for row in rows], total)

    return reading_problems(lake, work, asked)


def find(lake: Backend, beginnings: Sequence[str]) -> list[Problem]:
    """The problem whose fingerprint begins with each of `beginnings`.

    Raises `UsageError` where that is none or more than one, `StorageError`.
    """

    def work(connection: Any) -> list[list[Problem]]:
        return [
            connection.sql(sql("assets.problems", "problems_by_beginning"), params=[beginning.lower()])
            .to_arrow_table()
            .to_pylist()
            for beginning in beginnings
        ]

    found = []
    for beginning, matching in zip(beginnings, reading_problems(lake, work), strict=True):
        if not beginning or len(matching) != 1:
            how_many = "more than one problem" if matching else "no problem"
            raise UsageError(
                f"There is {how_many} with the fingerprint {beginning!r}; see `issuelake problems`."
            )
        found += matching
    return found


def _check(name: str, given: Collection[str], known: Collection[str]) -> None:
    for value in given:
        if value not in known:
            raise UsageError(f"{value!r} is not a {name}; known are {', '.join(known)}.")
