"""A question in SQL is answered by a database as by a lake, of which only what it is about is copied."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from assets import sql_access
from assets.sql_scope import EVERYTHING, Scope, scope
from resources.backend import BOTH, ISSUES, RUNS, Backend, Pushdown
from resources.backends.lakes import LocalFile
from resources.backends.sql.settings import Sqlite
from resources.errors import QueryError
from tests.lake.state import DAYS, append, document

DAY, NEXT = DAYS[0], DAYS[1]

QUESTIONS: dict[str, Scope] = {
    "SELECT 1 AS one": Scope(tables=(), pushdown=Pushdown(columns=frozenset()), summary=False),
    "SELECT count(*) AS n FROM runs": Scope(
        tables=(RUNS,), pushdown=Pushdown(columns=frozenset()), summary=False
    ),
    "SELECT severity, count(*) AS n FROM issues GROUP BY severity ORDER BY severity": Scope(
        tables=(ISSUES,), pushdown=Pushdown(columns=frozenset({"severity"})), summary=False
    ),
    "SELECT description FROM issues WHERE target_plugin = 'plugin-1' AND run_date = '2025-03-01'"
    " ORDER BY ALL": Scope(
        DAY,
        DAY,
        (ISSUES,),
        Pushdown(plugin="plugin-1", columns=frozenset({"description", "target_plugin", "run_date"})),
        False,
    ),
    "SELECT i.Description FROM Issues i WHERE i.run_date BETWEEN DATE '2025-03-01' AND '2025-03-02'"
    " AND run_date < '2025-03-02' ORDER BY 1": Scope(
        DAY, NEXT, (ISSUES,), Pushdown(columns=frozenset({"description", "run_date"})), False
    ),
    "SELECT description FROM issues WHERE run_date = '2025-03-01' OR severity = 'low' ORDER BY 1": Scope(
        tables=(ISSUES,),
        pushdown=Pushdown(columns=frozenset({"description", "run_date", "severity"})),
        summary=False,
    ),
    "FROM runs SELECT validation_run_id WHERE '2025-03-02' <= run_date ORDER BY 1": Scope(
        tables=(RUNS,),
        pushdown=Pushdown(columns=frozenset({"validation_run_id", "run_date"})),
        summary=False,
    ),
    "FROM runs ORDER BY validation_run_id": Scope(tables=(RUNS,), pushdown=Pushdown(), summary=False),
    "SELECT r FROM runs r ORDER BY r.validation_run_id": Scope(
        tables=(RUNS,), pushdown=Pushdown(), summary=False
    ),
    "WITH a AS (FROM issues) SELECT description FROM a ORDER BY 1": Scope(
        tables=(ISSUES,), pushdown=Pushdown(), summary=False
    ),
    "SELECT runs.target_plugin, description FROM runs JOIN issues USING (validation_run_id)"
    " WHERE runs.target_plugin = 'plugin-1' ORDER BY ALL": Scope(
        pushdown=Pushdown(columns=frozenset({"target_plugin", "description", "validation_run_id"})),
        summary=False,
    ),
    "SELECT description FROM issues WHERE target_plugin = 'plugin-1' UNION SELECT description FROM issues"
    " ORDER BY 1": Scope(
        tables=(ISSUES,),
        pushdown=Pushdown(columns=frozenset({"description", "target_plugin"})),
        summary=False,
    ),
    "SELECT count(*) AS n, (SELECT count(*) FROM issues WHERE run_date = '2025-03-01') AS m FROM runs": Scope(
        pushdown=Pushdown(columns=frozenset({"run_date"})), summary=False
    ),
    "SELECT target_plugin, runs FROM daily_summary WHERE run_date = '2025-03-02' ORDER BY ALL": Scope(
        NEXT,
        NEXT,
        (RUNS,),
        Pushdown(
            columns=frozenset({"run_date", "target_plugin", "pipeline_score", "timestamp"})
            | {f"{severity}_issues" for severity in ("critical", "high", "medium", "low")}
        ),
        True,
    ),
    "SELECT COLUMNS('.*_id') FROM runs ORDER BY 1": EVERYTHING,
    "SELECT count(*) AS n FROM runs NATURAL JOIN issues": EVERYTHING,
    "DESCRIBE issues": EVERYTHING,
    "SELECT * FROM rejected": Scope(tables=(), pushdown=Pushdown(), summary=False),
}


@pytest.fixture(scope="module")
def storages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Backend, Backend]:
    folder: Path = tmp_path_factory.mktemp("scope")
    both = (
        LocalFile(storage_path=str(folder / "lake")).open(),
        Sqlite(database_path=str(folder / "issues.db")).open(),
    )
    for backend in both:
        append(backend, [document("x" * (n + 1), DAYS[n % 4], issues=n % 5) for n in range(20)])
    return both


@pytest.mark.parametrize("query", QUESTIONS)
def test_a_question_is_answered_by_what_it_is_about(storages: tuple[Backend, Backend], query: str) -> None:
    assert scope(query) == QUESTIONS[query]
    lake, database = (
        sql_access.select(backend, query).drop_columns(_own(backend, query)) for backend in storages
    )
    assert lake.to_pylist() == database.to_pylist()


def _own(backend: Backend, query: str) -> list[str]:
    """The columns in which two storages differ."""
    columns = sql_access.select(backend, query).column_names
    return [name for name in columns if name in ("stored_at", "batch_id", "r")]


@pytest.mark.parametrize("query", ["SELECT descriptoin FROM issues", "SELECT 1 FROM isues"])
def test_what_is_misspelt_copies_nothing_more(
    storages: tuple[Backend, Backend], query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = storages[1]
    copied: list[tuple[date | None, ...]] = []
    define = database.define_views
    monkeypatch.setattr(
        database, "define_views", lambda *arguments: copied.append(arguments) or define(*arguments)
    )
    with pytest.raises(QueryError):
        sql_access.select(database, query)
    assert len(copied) == 1
    assert copied[0][3] != BOTH
