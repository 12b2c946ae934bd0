"""Bad input to `process`: whatever comes, an answer of the documented shape, and no harm done."""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import issuelake
from pipelines.operations.document import OPERATIONS
from pipelines.operations.schemas import input_schema, output_schema
from resources.lake.layout import DELETED, INDEX, ISSUES, REPLACED, RUNS
from tests.by_schema import documents

FROM_SCHEMA, MUTATED = 1_000, 9_000
COMMON = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
        HealthCheck.data_too_large,
    ],
)

LAKE = "/fuzz"
CONFIG = {"storage_backend": "fsspec", "storage_config": {"fsspec": {"url": f"memory:/{LAKE}"}}}
TABLES = tuple(f"{LAKE}/{folder}/" for folder in (RUNS, ISSUES, DELETED, REPLACED, INDEX))
FILES_AT_MOST = 9
"""More, and the lake begins anew: reading many small files would take the time that fuzzing has."""

RUN: dict[str, Any] = {
    "validation_run_id": "run-1",
    "timestamp": "2025-08-29T10:00:00Z",
    "target_plugin": "billing",
    "change_type": "modified",
    "pipeline_score": 85,
    "metadata": {"commit": "1f0c2d9", "attempts": [1, 2.5, None, True]},
    "issues_list": [
        {
            "severity": "high",
            "category": "security",
            "file_path": "src/pay.py",
            "description": "eval is used",
            "recommendation": "do not",
            "details": {"rule": "B307", "line": 12},
            "unforeseen": ["x"],
        },
        {"severity": "low", "description": "too long"},
    ],
    "unforeseen": {"a": 1},
}
QUERY: dict[str, Any] = {
    "severity": ["high", "low"],
    "category": ["security"],
    "plugin_name": "billing",
    "date_from": "2025-01-01",
    "date_to": "2025-12-31T23:59:59Z",
    "limit": 10,
    "offset": 0,
    "text": "eval",
    "file_path": "src/*",
    "run_id": "run-1",
    "fingerprint": "0" * 32,
    "min_severity": "low",
    "sort": "severity,-timestamp",
    "where": "severity <= 'high' AND category = 'security'",
}
VALID: list[dict[str, Any]] = [
    {"issues": RUN},
    {"operation": "store_issues", "issues": [RUN, {**RUN, "validation_run_id": "run-2"}]},
    {"operation": "get_issues", "query": {"severity": ["high"], "limit": 5}},
    {"operation": "get_latest_issues", "query": {"plugin_name": "billing"}},
    {"operation": "search_issues", "query": QUERY},
    {"operation": "get_issue_summary", "query": {"plugin_name": "billing", "date_from": "2025-01-01"}},
    {"operation": "get_issue_history", "query": {"plugin_name": "billing", "limit": 5}},
    {"operation": "delete_issues", "query": {"run_id": "run-1"}},
    {
        "operation": "export_issues",
        "query": {"severity": ["high"]},
        "export_format": "csv",
        "export_path": "out.csv",
    },
    {"operation": "get_health_status"},
    {"operation": "get_issues", **CONFIG},
]
JUNK: list[Any] = [
    None, True, False, 0, -1, 1, 101, 10**30, -0.5, 1e308, float("nan"), float("inf"),
    "", " ", "x", "\x00", "\ud800", "'", '"', "--", "'; DROP TABLE runs; --", "%", "a" * 10_000,
    "\N{RIGHT-TO-LEFT OVERRIDE}", "é" * 300, "${HOME", "${NO_SUCH_VARIABLE}",
    "2025-13-45", "9999-12-31", "0001-01-01T00:00:00+14:00", "critical", "auto", "sqlite", "memory",
    [], {}, [[]], [None], {"": ""}, {"severity": "high"}, [{}] * 3, {"a": {"b": [1]}},
    b"bytes", {1: 2}, {"a"}, object(),
    "SELECT 1", "1=1", "severity = 'high' OR (SELECT 1) = 1", "((((", "timestamp > 5", "category LIKE 3",
]  # fmt: skip


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths that a document comes up with lie in a folder of their own."""
    monkeypatch.chdir(tmp_path)


ANSWER = jsonschema.Draft202012Validator(output_schema())


def tables() -> dict[str, bytes]:
    """The files that say what runs and issues there are, and their bytes."""
    return {path: f.getvalue() for path, f in MemoryFileSystem.store.items() if path.startswith(TABLES)}


def check(runner: asyncio.Runner, document: Any) -> None:
    """One case: a valid answer that is JSON; after a failure the tables are as they were."""
    before = tables()
    if len(before) > FILES_AT_MOST:
        MemoryFileSystem.store.clear()
        before = {}
    answer = runner.run(issuelake.process(document, CONFIG))
    encoded = msgspec.json.encode(answer)
    ANSWER.validate(json.loads(encoded))
    if answer["success"]:
        return
    assert answer["error"].endswith("."), answer["error"]
    assert "unexpectedly" not in answer["error"], answer["error"]
    if answer["operation_result"]["records_affected"] == 0:
        assert tables() == before
    else:  # some runs of a list were stored, and the answer says which
        assert answer["operation_result"]["operation"] == "store_issues"
        assert answer["issues_data"]["runs_rejected"] > 0


def harmless(document: Any) -> Any:
    """`document` with nothing in it that names a place outside of the test's own folder."""
    if isinstance(document, dict):
        tame = {k: harmless(v) for k, v in document.items()}
        for key in ("storage_path", "url", "export_path"):
            if isinstance(tame.get(key), str) and not tame[key].startswith(f"memory:/{LAKE}"):
                tame[key] = "".join(c if c not in "/~.:\\" else "_" for c in tame[key])
        return tame
    return [harmless(member) for member in document] if isinstance(document, list) else document


@settings(COMMON, max_examples=FROM_SCHEMA)
@given(document=documents(input_schema()))
def test_documents_by_the_schema(loop: asyncio.Runner, document: Any) -> None:
    check(loop, harmless(document))


@settings(COMMON, max_examples=MUTATED)
@given(seed=st.integers(0, 2**64), mutations=st.integers(1, 4))
def test_mutated_documents(loop: asyncio.Runner, seed: int, mutations: int) -> None:
    chance = random.Random(seed)
    document: Any = copy.deepcopy(chance.choice(VALID))
    for _ in range(mutations):
        document = mutated(document, chance)
    check(loop, harmless(document))


def mutated(document: Any, chance: random.Random) -> Any:
    """`document` with one place changed: put out, doubled, renamed or replaced."""
    places = list(walk(document))
    if not places:
        return chance.choice(JUNK)
    holder, key = chance.choice(places)
    how = chance.randrange(6)
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif how == 1:
        holder[f"{key}{chance.choice(['', 's', '_', chr(0xD800)])}"] = holder.pop(key)
    elif how == 2:
        holder[key] = chance.choice(
            [[holder[key]], {"x": holder[key]}, str(holder[key]), OPERATIONS[seed_of(chance)]]
        )
    else:
        holder[key] = copy.copy(chance.choice(JUNK))
    return document


def seed_of(chance: random.Random) -> int:
    return chance.randrange(len(OPERATIONS))


def walk(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in `value`: what holds it, and its key there."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield value, key
            yield from walk(member)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield value, index
            yield from walk(member)
