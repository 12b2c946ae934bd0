"""What a question asks of a database: by an index, of the columns it names, no more rows than it shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from pymongo import MongoClient
from sqlalchemy import event
from sqlalchemy.engine import Engine

from assets import answers, deletion
from assets import query as queries
from assets.query import Query
from resources.backend import ISSUES, RUNS, Backend
from resources.backends.lakes import LocalFile
from resources.backends.mongodb import MongoDb
from resources.backends.settings import Settings
from resources.backends.sql import reading
from resources.backends.sql.settings import Mysql, Postgresql, Sqlite
from resources.backends.sql.tables import INDEXED_CHARACTERS
from resources.config import Storage
from tests.backends.sql_servers import settings
from tests.lake.state import SEVERITIES, append
from tests.servers import Mongo, Sql

START = datetime(2025, 3, 1, tzinfo=UTC)
LONG = "p" * INDEXED_CHARACTERS
PLUGINS = ("a", "a ", "A", "ä", "a\0", LONG, f"{LONG}a", f"{LONG}b")
"""Which some databases, or their indexes, would take for one another."""
CATEGORIES = ("style", "style ", "Style", None)
SQL = ("sqlite", "postgresql", "mysql")


def documents(count: int) -> list[dict[str, Any]]:
    """Runs of which several have one moment, and some have no issues."""
    rng = Random(7)
    return [
        {
            "validation_run_id": f"{rng.choice('abAB ä')}{number}{rng.choice(['', ' ', chr(0)])}",
            "timestamp": (START + timedelta(hours=number // 3, microseconds=number % 2)).isoformat(),
            "target_plugin": rng.choice(PLUGINS),
            "pipeline_score": number % 101,
            "metadata": {"text": "long " * 20},
            "issues_list": [
                {
                    "severity": rng.choice(SEVERITIES),
                    "description": f"{number} {index}",
                    **({"category": category} if (category := rng.choice(CATEGORIES)) else {}),
                }
                for index in range(rng.randrange(5))
            ],
        }
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def configured(
    tmp_path_factory: pytest.TempPathFactory, postgresql_server: Sql, mysql_server: Sql, mongo_server: Mongo
) -> dict[str, Settings]:
    """Storages that all have the same runs."""
    folder: Path = tmp_path_factory.mktemp("pushdown")
    every: dict[str, Settings] = {
        "local_file": LocalFile(storage_path=str(folder / "lake")),
        "sqlite": Sqlite(database_path=str(folder / "issues.db")),
        "postgresql": settings(Postgresql, postgresql_server),
        "mysql": settings(Mysql, mysql_server),
        "mongodb": MongoDb(connection_string=mongo_server.url, database="pushdown"),
    }
    for one in every.values():
        append(one.open(), documents(400))
    return every


@pytest.fixture(params=[*SQL, "mongodb"])
def database(request: pytest.FixtureRequest, configured: dict[str, Settings]) -> Backend:
    return configured[request.param].open()


@pytest.fixture
def lake(configured: dict[str, Settings]) -> Backend:
    return configured["local_file"].open()


QUERIES: list[dict[str, Any]] = [
    {},
    {"limit": 7, "offset": 40},
    {"limit": 1000, "offset": 100_000},
    *({"plugin_name": plugin, "limit": 5, "offset": offset} for plugin in PLUGINS for offset in (0, 11)),
    {"plugin_name": "nobody"},
    {"severity": ["high"], "limit": 9},
    {"min_severity": "high", "plugin_name": "a", "limit": 9, "offset": 3},
    *({"category": [category], "limit": 6} for category in CATEGORIES if category),
    {"date_from": "2025-03-02", "date_to": "2025-03-03", "limit": 13},
    {"date_from": "2025-03-02T07:00:00.000001Z", "date_to": "2025-03-02T09:00:00Z", "limit": 3},
    {"date_to": "2025-03-04T03:00:00Z", "limit": 4, "severity": ["low", "critical"]},
    {"run_id": "b1"},
    {"severity": ["critical", "low"], "category": ["style", "Style"], "limit": 8},
    {"sort": "-timestamp", "limit": 10},
    {"sort": "-timestamp,severity,-category", "limit": 10, "offset": 2},
    {"sort": "-timestamp,-severity,category,-validation_run_id", "limit": 10},
    {"sort": "timestamp", "limit": 10},
    {"sort": "severity,description", "limit": 10},
    {"text": "1", "limit": 10},
    {"where": "category = 'style' AND issue_index > 0", "limit": 10},
]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_database_answers_as_a_lake(database: Backend, lake: Backend, query: dict[str, Any]) -> None:
    asked = Query(**query)
    for ask in (answers.issues, answers.summary):
        ours, theirs = (ask(Storage("any", backend), asked) for backend in (database, lake))
        assert _timeless(ours) == _timeless(theirs)


@pytest.mark.parametrize("name", SQL)
@pytest.mark.parametrize("query", [{"limit": 7, "offset": 40}, {"plugin_name": "ä", "limit": 9}], ids=str)
def test_a_page_that_is_too_much_at_once_goes_through_duckdb(
    configured: dict[str, Settings],
    lake: Backend,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    query: dict[str, Any],
) -> None:
    most = query["limit"] + query.get("offset", 0)
    pushdown = queries.compile(Query(**query)).pushdown
    backend = configured[name].open()
    found = backend.newest(replace(pushdown, limit=most))
    assert found is not None
    assert len(found.issues) >= most
    for too_few in (most - 1, len(found.issues) - 1):
        monkeypatch.setattr(reading, "AT_ONCE", too_few)
        assert backend.newest(replace(pushdown, limit=most)) is None
        ours, theirs = (answers.issues(Storage("any", one), Query(**query)) for one in (backend, lake))
        assert _timeless(ours) == _timeless(theirs)


def test_histories_newest_runs_and_deletions(database: Backend, lake: Backend) -> None:
    ours, theirs = (Storage("any", backend) for backend in (database, lake))
    for plugin in (None, *PLUGINS, "nobody"):
        assert _timeless(answers.latest(ours, plugin)) == _timeless(answers.latest(theirs, plugin))
        query = Query(plugin_name=plugin, limit=10)
        assert _timeless(answers.history(ours, query)) == _timeless(answers.history(theirs, query))
        dry = Query(plugin_name=plugin or "a", dry_run=True)
        assert _timeless(deletion.delete(ours, dry, "x")) == _timeless(deletion.delete(theirs, dry, "x"))


def _timeless(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from storage to storage."""
    data = answer.get("issues_data") or {}
    kept = {name: value for name, value in data.items() if name != "stored_at"}
    return {**answer, "issues_data": kept, "operation_result": None}


@contextmanager
def heard() -> Iterator[list[tuple[str, Any]]]:
    """The statements that are executed, with their parameters."""
    statements: list[tuple[str, Any]] = []

    def hear(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        statements.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


@contextmanager
def explained(backend: Any) -> Iterator[sa.Connection]:
    """A connection to ask how the database would go about a statement."""
    engine = backend._dialect.engine()
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                # A few hundred rows are read quicker than an index of them.
                connection.exec_driver_sql("SET enable_seqscan = off")
            yield connection
    finally:
        engine.dispose()


def plan(connection: sa.Connection, statement: str, parameters: Any) -> str:
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
    return "\n".join(str(tuple(row)) for row in rows)


@pytest.mark.parametrize("name", SQL)
@pytest.mark.parametrize("plugin", [None, "ä"])
def test_a_page_is_read_by_an_index(configured: dict[str, Any], name: str, plugin: str | None) -> None:
    place = configured[name]
    backend = place.open()
    backend.maintain()
    with heard() as statements:
        answers.issues(Storage(name, backend), Query(plugin_name=plugin, limit=3))
    issues = f"{place.table_name}_{ISSUES}"
    counted, page = [(s, p) for s, p in statements if issues in s]
    assert "batch_id" not in page[0]
    with explained(backend) as connection:
        assert f"{issues}_{'target_plugin' if plugin else 'moment'}" in plan(connection, *counted)
        assert f"{issues}_{'target_plugin' if plugin else 'moment'}" in plan(connection, *page)
        rows = connection.exec_driver_sql(*page).all()
    assert 3 <= len(rows) <= 3 + 3 * 4, "the page, and what else has its last moment"


@pytest.mark.parametrize("name", SQL)
def test_nothing_is_asked_for_twice(configured: dict[str, Any], name: str) -> None:
    """Or a server expects fewer rows than there are, and looks at all of them to find the first."""
    week = {"plugin_name": "ä", "date_from": "2025-03-02", "date_to": "2025-03-05", "severity": ["high"]}
    with heard() as statements:
        answers.issues(Storage(name, configured[name].open()), Query(**week))
    counted, page = [s for s, _ in statements if f"{configured[name].table_name}_{ISSUES}" in s]
    assert "run_date" not in counted + page, "which the moments say"
    assert "count(" not in counted, "which the runs have done"


@pytest.mark.parametrize("name", SQL)
@pytest.mark.parametrize("plugin", [None, "ä"])
def test_the_newest_run_is_found_by_an_index(
    configured: dict[str, Any], name: str, plugin: str | None
) -> None:
    place = configured[name]
    backend = place.open()
    with heard() as statements:
        answers.latest(Storage(name, backend), plugin)
    runs = f"{place.table_name}_{RUNS}"
    asked = [(s, p) for s, p in statements if f"FROM {place.table_name}_" in " ".join(s.split())]
    asked = [(s, p) for s, p in asked if f"{place.table_name}_meta" not in s]
    assert len(asked) == 3, "the moment, its runs, their issues"
    with explained(backend) as connection:
        for statement, parameters in asked:
            table = runs if runs in statement else f"{place.table_name}_{ISSUES}"
            found = plan(connection, statement, parameters)
            assert f"{table}_target_plugin" in found or f"{table}_moment" in found


@pytest.mark.parametrize("name", SQL)
def test_a_summary_reads_no_texts(configured: dict[str, Any], name: str) -> None:
    with heard() as statements:
        answers.summary(Storage(name, configured[name].open()), Query(plugin_name="a"))
    overall, *newest = [s for s, _ in statements if "category" in s]
    assert "description" not in overall
    assert len(newest) == 1, "which is read whole"


@pytest.mark.parametrize("plugin", [None, "ä"])
def test_mongodb_reads_the_newest_documents_by_an_index(
    configured: dict[str, Any], plugin: str | None
) -> None:
    place: MongoDb = configured["mongodb"]
    backend = place.open()
    backend.days()
    with MongoClient[dict[str, Any]](place.connection_string) as client:
        database = client[place.database]
        database.command("profile", 2)
        try:
            answers.issues(Storage("mongodb", backend), Query(plugin_name=plugin, limit=3))
            answers.latest(Storage("mongodb", backend), plugin)
        finally:
            database.command("profile", 0)
        of_runs = {"op": "query", "ns": f"{place.database}.{place.collection}"}
        finds = list(database["system.profile"].find(of_runs).sort("ts", 1))
        database["system.profile"].drop()
    assert len(finds) == 4, "a moment and its documents, twice"
    for find in finds:
        assert "IXSCAN" in find["planSummary"], json.dumps(find, default=str)
        assert find["docsExamined"] < 25
        assert "metadata" not in find["command"]["projection"] or find is finds[-1]
        assert not find.get("hasSortStage")
