"""Runs to store, and what a storage answers about them, in a form that can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb

from assets import kernel
from resources.backend import Backend
from resources.contract import Delivery
from resources.lake.verdict import Appended

FIRST_DAY = date(2025, 3, 1)
DAYS = [FIRST_DAY + timedelta(days=n) for n in range(6)]
SEVERITIES = ("critical", "high", "medium", "low")
NOW = timedelta(0)
"""The grace period of a compaction that removes at once."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A run as a storage answers it: its day, its version (kept as the score) and its issues' texts."""

    day: date
    version: int
    issues: tuple[str, ...]


State = dict[str, Stored]


def stored(run_id: str, day: date = FIRST_DAY, version: int = 0, issues: int = 2) -> Stored:
    """What `document` of the same arguments is stored as."""
    return Stored(day, version, tuple(f"{run_id} v{version} #{n}" for n in range(issues)))


def document(run_id: str, day: date = FIRST_DAY, version: int = 0, issues: int = 2) -> dict[str, Any]:
    """A run file; another `version` is another content."""
    return {
        "validation_run_id": run_id,
        "timestamp": f"{day.isoformat()}T12:00:00Z",
        "target_plugin": f"plugin-{len(run_id) % 3}",
        "pipeline_score": version,
        "issues_list": [
            {"severity": SEVERITIES[n % 4], "description": f"{run_id} v{version} #{n}"} for n in range(issues)
        ],
    }


def append(backend: Backend, documents: Iterable[dict[str, Any]]) -> Appended:
    """Store run files in one batch, all of which keep the contract."""
    chunk = kernel.build([Delivery("test.json", json.dumps(d).encode()) for d in documents])
    assert not chunk.rejections, [r.reason for r in chunk.rejections]
    return backend.append(chunk.runs, chunk.issues)


def read(backend: Backend, first: date | None = None, last: date | None = None) -> State:
    """Every run that counts, whole; asserts that each comes once, and that its issues are its own."""
    return backend.reading(_state, first, last)


def _state(connection: duckdb.DuckDBPyConnection) -> State:
    issues: dict[str, list[tuple[int, str, date, str]]] = {}
    for run_id, *row in connection.execute(
        "SELECT validation_run_id, issue_index, description, run_date, batch_id FROM issues"
    ).fetchall():
        issues.setdefault(run_id, []).append(tuple(row))
    found: State = {}
    rows = connection.execute(
        "SELECT validation_run_id, run_date, pipeline_score, batch_id,"
        " critical_issues + high_issues + medium_issues + low_issues FROM runs"
    ).fetchall()
    for run_id, day, version, batch_id, count in rows:
        own = sorted(issues.pop(run_id, []))
        assert run_id not in found, f"{run_id!r} counts twice"
        assert [index for index, *_ in own] == list(range(count)), f"{run_id!r} is torn: {own}"
        assert {(row[2], row[3]) for row in own} <= {(day, batch_id)}, f"{run_id!r} has others' issues"
        found[run_id] = Stored(day, version, tuple(text for _, text, *_ in own))
    assert not issues, f"issues without a run: {sorted(issues)}"
    return found


def within(state: State, first: date, last: date) -> State:
    return {run_id: run for run_id, run in state.items() if first <= run.day <= last}


def check(backend: Backend, wanted: State) -> None:
    """A full read gives exactly `wanted`, and pruned reads exactly what lies on their days."""
    assert read(backend) == wanted
    for first, last in ((DAYS[0], DAYS[0]), (DAYS[1], DAYS[2]), (DAYS[3], DAYS[5])):
        assert read(backend, first, last) == within(wanted, first, last)
