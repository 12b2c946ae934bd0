"""Users' SQL can read the lake, and do nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import issuelake
from assets.ingest import store_deliveries
from assets.sql_access import select
from resources.contract import Delivery
from resources.errors import IssuelakeError, QueryError
from resources.files import open_files
from resources.lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(open_files(str(tmp_path / "lake")))
    run = {
        "validation_run_id": "r",
        "timestamp": "2025-08-29T10:00:00Z",
        "issues_list": [{"severity": "low", "description": "x"}],
    }
    store_deliveries(lake, [Delivery("r.json", json.dumps(run).encode())])
    return lake


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


HOSTILE = [
    "COPY issues TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)",
    "/**/EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)",
    "EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{file}'",
    "EXPORT DATABASE '{folder}/dump'",
    "IMPORT DATABASE '{folder}'",
    "ATTACH '{folder}/x.db' AS x",
    "ATTACH ':memory:' AS x",
    "DETACH memory",
    "USE memory",
    "CREATE TABLE t (a INT)",
    "CREATE VIEW runs2 AS SELECT 1",
    "CREATE SECRET s (TYPE s3)",
    "DROP VIEW issues",
    "INSERT INTO rejected SELECT * FROM rejected",
    "DELETE FROM rejected",
    "UPDATE rejected SET rule = ''",
    "ALTER TABLE rejected ADD COLUMN a INT",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET threads = 1",
    "SET VARIABLE issues_clean = ['/etc/passwd']",
    "RESET lock_configuration",
    "PRAGMA enable_external_access = true",
    "CALL pragma_version()",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "SELECT 1; DROP VIEW issues",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/hostname')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "FROM read_parquet('{folder}/other.parquet')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_parquet('http://127.0.0.1:9/x.parquet')",
    "SELECT * FROM query('COPY (SELECT 1) TO ''{folder}/out.csv''')",
    "WITH x AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM x",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "not sql at all",
    "",
]


@pytest.mark.parametrize("query", HOSTILE)
def test_the_fence_holds(lake: Lake, tmp_path: Path, query: str) -> None:
    (tmp_path / "other.parquet").write_bytes(b"PAR1")
    file = next(Path(lake.url).rglob("runs/**/*.parquet"))
    before = snapshot(tmp_path)
    with pytest.raises(IssuelakeError):
        select(lake, query.format(folder=tmp_path, file=file))
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM issues",
        "FROM runs",
        "WITH x AS (FROM runs) SELECT count(*) FROM x",
        "DESCRIBE issues",
        "SUMMARIZE runs",
        "EXPLAIN SELECT * FROM issues",
        "EXPLAIN ANALYZE SELECT * FROM issues",
        "SELECT 1 -- DROP VIEW issues",
        "VALUES (1)",
        "PIVOT issues ON severity IN ('low') USING count(*)",
    ],
)
def test_reading_gets_through(lake: Lake, query: str) -> None:
    assert select(lake, query).num_rows >= 1


def test_columns_are_those_of_the_contract(lake: Lake) -> None:
    from resources.schema import ISSUES, RUN_DATE, RUNS

    assert select(lake, "FROM runs").column_names == [c.name for c in (*RUNS, RUN_DATE)]
    assert select(lake, "FROM issues").column_names == [c.name for c in (*ISSUES, RUN_DATE)]


def test_python_users_get_the_same_views(lake: Lake) -> None:
    with issuelake.connect(lake.url) as connection:
        assert connection.execute("SELECT count(*) FROM issues").fetchall() == [(1,)]
        assert connection.execute("FROM daily_summary LIMIT 0").fetchall() == []


def test_a_broken_query_says_what_is_wrong(lake: Lake) -> None:
    with pytest.raises(QueryError, match="nonsense"):
        select(lake, "SELECT nonsense FROM issues")
