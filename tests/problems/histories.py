"""Histories of runs, and what becomes of their problems, worked out one run after the other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from assets import kernel
from assets.problems.relation import Asked, reading_problems
from resources.backend import Backend
from resources.contract import Delivery
from resources.fingerprint import digest, identity, ordinal_digest

FIRST = datetime(2025, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Issue:
    text: str
    category: str | None = "style"
    path: str | None = "src/a.py"
    severity: str = "high"
    line: int = 1
    rule: str = ""

    @property
    def document(self) -> dict[str, Any]:
        fields = {"category": self.category, "file_path": self.path}
        given = {name: value for name, value in fields.items() if value is not None}
        details = {"line": self.line} | ({"rule": self.rule} if self.rule else {})
        return {**given, "severity": self.severity, "description": self.text, "details": details}


@dataclass(frozen=True, slots=True)
class Run:
    """A run `hours` after `FIRST`."""

    run_id: str
    hours: int
    issues: tuple[Issue, ...] = ()
    plugin: str = "demo"
    scope: Any = None
    score: int | None = None

    @property
    def moment(self) -> datetime:
        return FIRST + timedelta(hours=self.hours)

    @property
    def document(self) -> dict[str, Any]:
        return {
            "validation_run_id": self.run_id,
            "timestamp": self.moment.isoformat(),
            "target_plugin": self.plugin,
            **({} if self.score is None else {"pipeline_score": self.score}),
            "metadata": {} if self.scope is None else {"scope": self.scope},
            "issues_list": [issue.document for issue in self.issues],
        }

    def prints(self) -> dict[str, Issue]:
        """The issues by fingerprint, equal ones told apart by their ordinal."""
        found: dict[str, Issue] = {}
        seen: dict[bytes, int] = {}
        for issue in self.issues:
            what = identity(self.plugin, issue.category, issue.rule, issue.path, issue.text)
            found[ordinal_digest(digest(what), seen.get(what, 0))] = issue
            seen[what] = seen.get(what, 0) + 1
        return found


def store(backend: Backend, runs: Iterable[Run]) -> None:
    """Store `runs` in one batch."""
    chunk = kernel.build([Delivery("t.json", json.dumps(run.document).encode()) for run in runs])
    assert not chunk.rejections, [r.reason for r in chunk.rejections]
    backend.append(chunk.runs, chunk.issues)


def rows(backend: Backend, until: datetime | None = None, columns: str = "*") -> dict[str, dict[str, Any]]:
    """The relation `problems` by fingerprint."""

    def read(connection: Any) -> dict[str, dict[str, Any]]:
        found = connection.sql(f"SELECT {columns} FROM problems").to_arrow_table().to_pylist()
        assert len({row["fingerprint"] for row in found}) == len(found)
        return {row["fingerprint"]: row for row in found}

    return reading_problems(backend, read, Asked(until))


LIFECYCLE = (
    "fingerprint, target_plugin, severity::VARCHAR AS severity, description, file_path, category, status,"
    " first_seen, first_run_id, last_seen, last_run_id, runs_seen, opened_at, opened_run_id, reopened,"
    " fixed_at, fixed_run_id"
)


def lifecycle(backend: Backend, until: datetime | None = None) -> dict[str, dict[str, Any]]:
    """What `expected` works out, as the storage answers it."""
    return rows(backend, until, LIFECYCLE)


@dataclass
class _Life:
    issue: Issue
    first: Run
    opened: Run
    last: Run
    runs: int = 1
    reopened: int = 0
    fixed: Run | None = field(default=None)


def expected(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """What becomes of the problems of `runs`; of equal moments the one that comes first is the earlier."""
    found: dict[str, dict[str, Any]] = {}
    for plugin in {run.plugin for run in runs}:
        own = sorted((run for run in runs if run.plugin == plugin), key=lambda run: run.hours)
        lives: dict[str, _Life] = {}
        for run in own:
            there = {print: issue for print, issue in run.prints().items() if looks(run, issue)}
            for print, life in lives.items():
                if print not in there and life.fixed is None and looks(run, life.issue):
                    life.fixed = run
            for print, issue in there.items():
                if print not in lives:
                    lives[print] = _Life(issue, run, run, run)
                    continue
                life = lives[print]
                if life.fixed is not None:
                    life.reopened += 1
                    life.opened, life.fixed = run, None
                life.issue, life.last, life.runs = issue, run, life.runs + 1
        found |= {print: _row(print, life, own[-1]) for print, life in lives.items()}
    return found


def _row(print: str, life: _Life, newest: Run) -> dict[str, Any]:
    if life.fixed is not None:
        status = "fixed"
    elif life.last is not newest:
        status = "not_checked"
    elif life.reopened:
        status = "reopened"
    else:
        status = "new" if life.first is newest else "open"
    return {
        "fingerprint": print,
        "target_plugin": newest.plugin,
        "severity": life.issue.severity,
        "description": life.issue.text,
        "file_path": life.issue.path,
        "category": life.issue.category,
        "status": status,
        "first_seen": life.first.moment,
        "first_run_id": life.first.run_id,
        "last_seen": life.last.moment,
        "last_run_id": life.last.run_id,
        "runs_seen": life.runs,
        "opened_at": life.opened.moment,
        "opened_run_id": life.opened.run_id,
        "reopened": life.reopened,
        "fixed_at": life.fixed and life.fixed.moment,
        "fixed_run_id": life.fixed and life.fixed.run_id,
    }


def looks(run: Run, issue: Issue) -> bool:
    """Whether the run looked where the issue is."""
    scope = run.scope if isinstance(run.scope, dict) else {"categories": run.scope}
    categories, paths = scope.get("categories"), scope.get("paths")
    return (not isinstance(categories, list) or (issue.category or "") in categories) and (
        not isinstance(paths, list) or any(_matches(glob, issue.path or "") for glob in paths)
    )


def _matches(glob: str, path: str) -> bool:
    parts = {"**/": "(?:.*/)?", "*": ".*", "?": "."}
    pattern = "".join(
        parts.get("*" if len(part) > 1 and set(part) == {"*"} else part) or re.escape(part)
        for part in re.findall(r"\*\*/|\*+|.", glob, re.DOTALL)
    )
    return re.fullmatch(pattern, path, re.DOTALL) is not None
