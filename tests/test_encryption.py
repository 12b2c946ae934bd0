"""An encrypted lake as its users meet it: the command line, operation documents, Python, Dagster."""

from __future__ import annotations

import asyncio
import json
import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import EnvVar

import issuelake
from assets.exports import export
from assets.ingest import store_deliveries
from assets.query import Query
from assets.sql_access import select, views
from resources.config import open_storage
from resources.contract import Delivery
from resources.dagster_resources import LakeResource
from resources.encryption import Key
from resources.errors import ConfigError, IssuelakeError, StorageError
from resources.files import LocalFiles
from resources.lake import Lake
from tests.lake.state import document
from tests.test_secrets import issuelake as command

GOOD, WRONG = (b64encode(os.urandom(32)).decode() for _ in range(2))
MARKER = "correct horse battery staple"


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    run = document("r") | {"issues_list": [{"severity": "high", "description": MARKER}]}
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run))
    (tmp_path / "broken.json").write_text(json.dumps(run)[:-1])
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    keys = {"storage_path": str(tmp_path / "lake"), "encryption_key": "${LAKE_KEY}"}
    path.write_text(yaml.safe_dump({"storage_config": {"local_file": keys}}))
    return path


@pytest.fixture
def lake(tmp_path: Path, run_file: Path) -> Lake:
    lake = Lake(LocalFiles(tmp_path / "lake"), Key.of(GOOD))
    broken = Delivery("broken.json", b"no")
    store_deliveries(lake, [Delivery("run.json", run_file.read_bytes()), broken])
    return lake


def tells(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and MARKER.encode() in p.read_bytes()]


def test_the_command_line_works_on_an_encrypted_lake(config: Path, run_file: Path, tmp_path: Path) -> None:
    environment = {"ISSUELAKE_CONFIG": str(config), "LAKE_KEY": GOOD}

    def done(*arguments: str) -> str:
        done = command(*arguments, cwd=tmp_path, **environment)
        assert done.returncode == 0, done
        return done.stdout

    command("ingest", str(run_file), str(tmp_path / "broken.json"), cwd=tmp_path, **environment)
    assert tells(tmp_path / "lake") == []
    assert MARKER in done("latest")
    assert MARKER in done("search", "battery", "--json")
    assert MARKER in done("sql", "SELECT description FROM issues WHERE severity = 'high'", "--format", "json")
    assert json.loads(done("summary", "--json"))["issue_summary"]["high_issues"] == 1
    [kept] = json.loads(done("rejected", "list", "--json"))["rejected"]
    assert done("rejected", "show", kept["rejected_id"]) == (tmp_path / "broken.json").read_text()
    done("compact", "--grace", "0")
    done("health")
    done("export", "--to", "out.parquet")
    assert (tmp_path / "out.parquet").read_bytes()[:4] == b"PAR1", "an export is for others to read"
    assert tells(tmp_path / "lake") == []


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    ("key", "said"),
    [
        (WRONG, "but encryption_key is the key"),
        (None, "needs the environment variable LAKE_KEY"),
        ("", "must be 32 bytes as base64 or hex"),
        (GOOD[:20], "must be 32 bytes as base64 or hex"),
    ],
    ids=["another", "none", "empty", "too short"],
)
def test_the_command_line_says_what_is_wrong_with_the_key(
    config: Path, run_file: Path, tmp_path: Path, key: str | None, said: str
) -> None:
    environment = {"ISSUELAKE_CONFIG": str(config)} | ({} if key is None else {"LAKE_KEY": key})
    before = sorted((tmp_path / "lake").rglob("*.*"))
    for arguments in (
        ("latest",),
        ("ingest", str(run_file)),
        ("ingest", str(tmp_path / "broken.json")),
        ("sql", "FROM runs"),
        ("health",),
    ):
        done = command(*arguments, cwd=tmp_path, **environment)
        told = done.stdout + done.stderr
        assert done.returncode, done
        assert said in " ".join(told.split()), told
        assert "Traceback" not in told
        assert not [k for k in (GOOD, key) if k and k in told]
    done = command("latest", "--storage", str(tmp_path / "lake"), cwd=tmp_path)
    assert done.returncode
    assert "no encryption_key is given" in " ".join(done.stderr.split())
    assert sorted((tmp_path / "lake").rglob("*.*")) == before


def test_operation_documents(tmp_path: Path) -> None:
    def answered(key: str | None, **operation: Any) -> dict[str, Any]:
        keys = {"storage_path": str(tmp_path / "lake")} | ({} if key is None else {"encryption_key": key})
        return asyncio.run(
            issuelake.process(
                {"storage_backend": "local_file", "storage_config": {"local_file": keys}} | operation
            )
        )

    assert answered(GOOD, issues=document("r"))["success"]
    assert answered(GOOD, operation="get_issues")["issues_data"]["total_count"] == 2
    for key, said in (
        (WRONG, "but encryption_key is the key"),
        (None, "no encryption_key is given"),
        ("x" * 44, "must be 32 bytes"),
    ):
        for operation in (
            {"issues": document("s")},
            {"operation": "get_issues"},
            {"operation": "get_latest_issues"},
        ):
            answer = answered(key, **operation)
            assert not answer["success"]
            assert said in answer["error"]
            assert "x" * 44 not in json.dumps(answer)
        health = json.dumps(answered(key, operation="get_health_status"))
        assert said in health


def test_dagster_and_python(lake: Lake, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_KEY", GOOD)
    resource = LakeResource(storage=lake.url, encryption_key=EnvVar("LAKE_KEY"))
    assert GOOD not in repr(resource)
    opened = resource.process_config_and_initialize().open()
    assert [day.isoformat() for day in opened.days()] == ["2025-03-01"]
    for key, said in ((WRONG, "but encryption_key is"), (None, "no encryption_key is given")):
        with pytest.raises(StorageError, match=said):
            LakeResource(storage=lake.url, encryption_key=key).open().reading(id)
    for settings, said in (
        ({"storage": lake.url, "encryption_key": "hunter2"}, "must be 32 bytes"),
        ({"storage": lake.url, "encryption_key": ""}, "must be 32 bytes"),
        ({"encryption_key": GOOD}, "goes with storage"),
    ):
        with pytest.raises(ConfigError, match=said) as caught:
            LakeResource(**settings).open()
        assert "hunter2" not in str(caught.value)
    with issuelake.connect(config=config) as connection:
        assert connection.execute("SELECT description FROM issues WHERE severity = 'high'").fetchall() == [
            (MARKER,)
        ]
        assert connection.execute("SELECT count(*) FROM rejected").fetchall() == [(1,)]


@pytest.mark.usefixtures("lake")
def test_an_export_is_plain(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_KEY", GOOD)
    export(open_storage(config=config), Query(), "csv", str(tmp_path / "out.csv"))
    assert MARKER in (tmp_path / "out.csv").read_text()


SNOOPING = [
    "FROM duckdb_settings()",
    "FROM duckdb_views()",
    "FROM duckdb_secrets()",
    "FROM duckdb_variables()",
    "FROM duckdb_logs",
    "FROM duckdb_optimizers()",
    "FROM duckdb_prepared_statements()",
    "FROM duckdb_databases()",
    "FROM duckdb_temporary_files()",
    "FROM duckdb_memory()",
    "FROM duckdb_external_file_cache()",
    "FROM duckdb_connections()",
    "FROM sqlite_master",
    "FROM pragma_database_list()",
    "FROM information_schema.views",
    "SELECT current_query()",
    "SELECT current_setting('encryption_key')",
    "SELECT getvariable('lake'), getvariable('issues_clean'), getvariable('footer_key')",
    "EXPLAIN SELECT * FROM issues",
    "EXPLAIN ANALYZE SELECT * FROM issues",
    "FROM enable_logging()",
    "FROM enable_profiling()",
    "PRAGMA add_parquet_key('other', 'aaaaaaaaaaaaaaaa')",
    "FROM add_parquet_key('other', 'aaaaaaaaaaaaaaaa')",
    "FROM read_parquet(getvariable('issues_clean'))",
    "FROM read_parquet(getvariable('issues_clean'), encryption_config = {footer_key: 'nope'})",
    "FROM parquet_metadata(getvariable('issues_clean')[1])",
    "FROM parquet_kv_metadata(getvariable('issues_clean')[1])",
    "COPY (FROM issues) TO '/tmp/x.parquet' (ENCRYPTION_CONFIG {footer_key: 'lake'})",
]


@pytest.mark.parametrize("query", SNOOPING)
def test_no_query_gets_at_the_key(lake: Lake, query: str) -> None:
    spellings = {GOOD, Key.of(GOOD)._secret.hex(), repr(Key.of(GOOD)._secret)[2:-1]}
    try:
        told = str(select(lake, query).to_pylist())
    except IssuelakeError as error:
        told = str(error)
    assert not [s for s in spellings if s in told]
    with views(lake) as connection:  # nor does one without the fence
        try:
            told = str(connection.execute(query).fetchall())
        except Exception as error:
            told = str(error)
    assert not [s for s in spellings if s in told]


def test_another_folder_is_behind_the_fence_also_with_the_key(lake: Lake, tmp_path: Path) -> None:
    other = Lake(LocalFiles(tmp_path / "other"), Key.of(GOOD))
    store_deliveries(other, [Delivery("x.json", json.dumps(document("x")).encode())])
    [file] = (tmp_path / "other" / "runs").rglob("*.parquet")
    with pytest.raises(IssuelakeError, match=r"(?i)permission|disabled|not allowed|cannot access"):
        select(lake, f"FROM read_parquet('{file}', encryption_config = {{footer_key: 'lake'}})")
