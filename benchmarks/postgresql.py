"""10 million issues in PostgreSQL: a search of one week of one plugin, against SQL written by hand."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import sqlalchemy as sa

from assets import answers
from assets.query import Query
from benchmarks import lakes, peers
from benchmarks.measure import Row, Setup, at_most, interleaved, seconds, times_the_time
from resources.backends.sql.postgresql import PostgresqlDialect
from resources.backends.sql.settings import Postgresql
from resources.backends.sql.tables import tables
from resources.config import Storage
from tests import servers

REPEATS = 5
"""A quick question is asked so often a round; its time is the mean."""

WEEK = timedelta(days=7)

TOTAL = """
SELECT count(*) FROM bench_issues
WHERE left(target_plugin, 191) = %(plugin)s AND timestamp BETWEEN %(start)s AND %(end)s
"""
QUICK_TOTAL = """
SELECT sum(critical_issues + high_issues + medium_issues + low_issues) FROM bench_runs
WHERE left(target_plugin, 191) = %(plugin)s AND timestamp BETWEEN %(start)s AND %(end)s
"""
FILTERED = """
SELECT count(*) FROM bench_issues
WHERE left(target_plugin, 191) = %(plugin)s AND timestamp BETWEEN %(start)s AND %(end)s
    AND severity = ANY(%(severity)s)
"""
PAGE = """
SELECT
    validation_run_id, issue_index, timestamp, target_plugin, category, severity, description,
    file_path, recommendation, details, fingerprint, extra
FROM bench_issues
WHERE left(target_plugin, 191) = %(plugin)s AND timestamp BETWEEN %(start)s AND %(end)s
    AND severity = ANY(%(severity)s)
ORDER BY timestamp DESC, validation_run_id COLLATE "C", issue_index
LIMIT 100
"""
"""What a search answers, by hand: over one open connection, in one transaction."""


def rows(setup: Setup) -> list[Row]:
    """What was measured; takes some minutes and 10 GB below the folder for temporary files."""
    runs = setup.scale(500_000, 50_000)
    # PostgreSQL does not run as root, nor below folders that are root's alone.
    with tempfile.TemporaryDirectory() as folder, servers.postgresql(Path(folder)) as server:
        settings = Postgresql(
            host="127.0.0.1",
            port=server.port,
            username=server.username,
            password=server.password,
            table_name="bench",
            timeout_seconds=600,  # an index of ten million rows is made without a word
        )
        plugin = _fill(settings, runs)
        return _searches(settings, plugin, setup.rounds)


def _fill(settings: Postgresql, runs: int) -> str:
    """Store `runs` runs with twenty issues each over a month, indexes last; the name of a plugin."""
    settings.open().days()  # makes the tables
    dialect = PostgresqlDialect(settings)
    bench = tables(settings.table_name, dialect.name)
    portion = lakes.portion(runs // lakes.PORTIONS)
    rng = Random(2)
    engine = dialect.engine()
    indexes = [index for table in (bench.runs, bench.issues) for index in table.indexes]
    with engine.begin() as connection:
        for index in indexes:
            index.drop(connection)
        for number in range(lakes.PORTIONS):
            start = lakes.END - lakes.MONTH + number * lakes.MONTH / lakes.PORTIONS
            anew = lakes.anew(portion.runs, start, lakes.MONTH / lakes.PORTIONS, rng)
            stored = peers.rows(type(portion)(anew, portion.issues, []))
            dialect.insert(connection, bench.runs, stored["runs"])
            dialect.insert(connection, bench.issues, stored["issues"])
        for index in indexes:
            index.create(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE bench_runs, bench_issues"))
    engine.dispose()
    plugin: str = portion.runs["target_plugin"][0].as_py()
    return plugin


def _searches(settings: Postgresql, plugin: str, rounds: int) -> list[Row]:
    storage = Storage("postgresql", settings.open())
    end = lakes.END - timedelta(days=3)
    week = {"plugin_name": plugin, "date_from": (end - WEEK).isoformat(), "date_to": end.isoformat()}
    by_hand = {"plugin": plugin, "start": end - WEEK, "end": end}
    every = ["critical", "high", "medium", "low"]
    found = []
    with closing(_connected(settings)) as connection:
        contests = (
            ("", None, [TOTAL, PAGE], 1.5),
            (", high issues alone", ["high"], [TOTAL, FILTERED, PAGE], 1.5),
            (" that adds up what the runs count", None, [QUICK_TOTAL, PAGE], None),
        )
        for what, severity, statements, at_most_times in contests:
            query = Query(**week, severity=severity or [])  # type: ignore[arg-type]
            asked = by_hand | {"severity": severity or every}
            ours = partial(answers.issues, storage, query, "search_issues")
            hand = partial(_by_hand, connection, statements, asked)
            _agree(ours(), hand())
            samples = interleaved({"ours": partial(_mean, ours), "peer": partial(_mean, hand)}, rounds)
            title = f"PostgreSQL, search, one plugin, one week, against SQL by hand{what}"
            found.append(times_the_time(title, samples["ours"], samples["peer"], at_most_times))
        latest = interleaved({"ours": partial(_mean, partial(answers.latest, storage))}, rounds)
        found.append(at_most("PostgreSQL, latest", latest["ours"]))
    return found


def _connected(settings: Postgresql) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=settings.host,
        port=settings.port,
        dbname=settings.database,
        user=settings.username,
        password=settings.password,
    )


def _by_hand(connection: psycopg.Connection[Any], statements: list[str], asked: dict[str, Any]) -> list[Any]:
    with connection.transaction():
        return [connection.execute(statement.encode(), asked).fetchall() for statement in statements]


def _agree(ours: dict[str, Any], by_hand: list[Any]) -> None:
    """Raise where the two have not answered the same: both counts, and every value of the page."""
    data = ours["issues_data"]
    *counts, page = by_hand
    total, filtered = counts[0][0][0], counts[-1][0][0]
    rows = [tuple(map(_plain, issue.values())) for issue in data["issues"]]
    if (data["total_count"], data["filtered_count"]) != (total, filtered) or rows != [
        tuple(map(_plain, row)) for row in page
    ]:
        raise AssertionError("the search and the SQL by hand differ")


def _plain(value: Any) -> Any:
    """A value of an answer, or as the driver has it, in the form that both can be brought into."""
    if isinstance(value, str) and value.startswith("{"):
        return json.loads(value)
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def _mean(question: Callable[[], object]) -> float:
    return seconds(lambda: [question() for _ in range(REPEATS)]) / REPEATS
