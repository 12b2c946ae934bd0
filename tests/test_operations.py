"""The operations through `process` and `run`: answers, errors, defaults, and many at a time."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

import issuelake
from assets.rejected import replay
from pipelines.operations.concurrency import WORKERS
from pipelines.operations.dispatch import run
from pipelines.operations.document import KEYS, OPERATIONS
from pipelines.operations.schemas import input_schema, output_schema
from pipelines.operations.storages import KEPT, opened
from resources.config import configured, open_storage
from tests import servers

INPUT = jsonschema.Draft202012Validator(input_schema())
ANSWER = jsonschema.Draft202012Validator(output_schema())
LATENCY = 0.05
CALLS, STORES = 1000, 10


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with no lake in it yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ISSUELAKE_CONFIG", raising=False)
    return tmp_path


def a_run(run_id: str = "run-1", **fields: Any) -> dict[str, Any]:
    return {
        "validation_run_id": run_id,
        "timestamp": "2025-08-29T10:00:00Z",
        "target_plugin": "billing",
        "issues_list": [{"severity": "high", "description": "eval is used", "category": "security"}],
    } | fields


def ask(operation: str, **keys: Any) -> dict[str, Any]:
    """A valid document's answer, checked against the schema."""
    document = {"operation": operation, **keys}
    INPUT.validate(json.loads(msgspec.json.encode(document)))
    return checked(run(document))


def checked(answer: dict[str, Any]) -> dict[str, Any]:
    ANSWER.validate(json.loads(msgspec.json.encode(answer)))
    return answer


def refused(document: Any) -> str:
    """The error of the answer to `document`, which touches no storage."""
    answer = checked(run(document))
    assert answer["success"] is False
    assert answer["operation_result"]["records_affected"] == 0
    assert not Path("lake").exists()
    return str(answer["error"])


def test_a_stored_run_is_seen_by_every_operation() -> None:
    stored = ask("store_issues", issues=a_run(pipeline_score=85))
    assert (
        stored["operation_result"].items()
        >= {
            "operation": "store_issues",
            "storage_backend_used": "local_file",
            "records_affected": 1,
        }.items()
    )
    assert stored["issues_data"]["runs"] == [{"status": "stored", "validation_run_id": "run-1"}]
    assert ask("get_issues")["issues_data"]["issues"][0]["description"] == "eval is used"
    assert ask("get_latest_issues")["issues_data"]["validation_run_id"] == "run-1"
    assert ask("get_latest_issues", query={"plugin_name": "other"})["issues_data"] is None
    assert ask("search_issues", query={"text": "EVAL"})["issues_data"]["filtered_count"] == 1
    assert ask("get_issue_summary")["issue_summary"]["overall"]["average_score"] == 85
    assert [row["new"] for row in ask("get_issue_history")["issues_data"]["history"]] == [1]
    assert ask("get_health_status")["health_status"]["storage_healthy"] is True


def test_the_same_run_again_is_a_duplicate_and_affects_nothing() -> None:
    ask("store_issues", issues=a_run())
    again = ask("store_issues", issues=a_run())
    assert again["success"] is True
    assert again["operation_result"]["records_affected"] == 0
    assert again["issues_data"]["runs"] == [{"status": "duplicate", "validation_run_id": "run-1"}]


def test_each_run_of_a_list_stands_alone() -> None:
    ask("store_issues", issues=a_run("known"))
    bad = a_run("bad", issues_list=[{"severity": "hgih", "description": "x"}])
    answer = checked(run({"issues": [a_run("known"), bad, a_run("new"), a_run("known")]}))
    rule = "$.issues_list[0].severity: 'hgih' is not one of critical, high, medium, low"
    assert answer["success"] is False
    assert f"1 of 4 runs were rejected, the first of them run 2: {rule};" in answer["error"]
    assert answer["operation_result"]["records_affected"] == 1
    assert [run["status"] for run in answer["issues_data"]["runs"]] == [
        "duplicate",
        "rejected",
        "stored",
        "duplicate",
    ]
    assert answer["issues_data"]["runs"][1]["reason"] == rule
    stored = {row["validation_run_id"] for row in ask("get_issue_history")["issues_data"]["history"]}
    assert stored == {"known", "new"}


def test_a_rejected_run_is_kept_and_can_be_taken_in_when_mended() -> None:
    answer = checked(run({"issues": a_run(pipeline_score="85")}))
    assert answer["success"] is False
    assert answer["error"].startswith("The run was rejected: $.pipeline_score: '85' is not an integer")
    lake = open_storage().backend
    [kept] = lake.rejected()
    assert json.loads(lake.files.read(kept.path)) == a_run(pipeline_score="85")
    mended = json.dumps(a_run(pipeline_score=85)).encode()
    assert replay(lake, [kept.rejected_id], mended).runs_stored == 1


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"metadata": {"x": float("nan")}}, "$.metadata.x: NaN is not a finite number"),
        ({"metadata": {"x": "\ud800"}}, "$.metadata.x: holds the lone surrogate U+D800"),
        ({"metadata": {1: "a", "1": "b"}}, "$.metadata: the key '1' occurs twice"),
    ],
)
def test_what_json_would_change_in_silence_is_rejected(fields: dict[str, Any], rule: str) -> None:
    assert rule in checked(run({"issues": a_run(**fields)}))["error"]


def test_python_values_without_a_form_in_json_are_named() -> None:
    assert "issues[0] holds what JSON cannot: a value of the type set" in refused_store(metadata={"x": {1}})
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert "nested deeper than 200 levels" in refused_store(metadata={"x": nested})
    moment = datetime(2025, 8, 29, 12, tzinfo=timezone(timedelta(hours=2)))
    run({"issues": a_run(timestamp=moment)})
    assert ask("get_latest_issues")["issues_data"]["timestamp"] == "2025-08-29T10:00:00Z"


def refused_store(**fields: Any) -> str:
    answer = checked(run({"issues": [a_run(**fields)]}))
    assert answer["success"] is False
    assert open_storage().backend.days() == []
    return str(answer["error"])


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"operation": "store_issue"}, ["'store_issue'", *OPERATIONS]),
        ({"opration": "get_issues"}, ["'opration'", *KEYS]),
        ({"operation": "export_issues", "export_format": "docx"}, ["'docx'", "sarif", "parquet"]),
        ({"operation": "get_issues", "storage_backend": "floppy"}, ["'floppy'", "local_file", "fsspec"]),
        ({"operation": "get_issues", "storage_config": {"local_file": {"path": "x"}}}, ["storage_path"]),
        ({"operation": "get_issues", "query": {"plugin": "x"}}, ["`plugin`", "plugin_name"]),
        ({"operation": "get_issues", "query": {"limit": 1001}}, ["1001", "1 to 1000"]),
        ({"operation": "get_latest_issues", "query": {"text": "x"}}, ["plugin_name only"]),
        ({"operation": "export_issues"}, ["export_path"]),
        ({}, ["needs `issues`"]),
        ({"issues": "x"}, ["$.issues"]),
        ("text", ["mapping", "str"]),
    ],
)
def test_an_error_says_what_is_known(document: Any, says: list[str]) -> None:
    error = refused(document)
    assert error.endswith(".")
    assert "\n" not in error
    assert [word for word in says if word not in error] == []


def test_what_nobody_foresaw_is_an_answer_too() -> None:
    class Hostile(dict[str, Any]):
        def items(self) -> Any:
            raise ValueError("out of\norder")

    answer = checked(run(Hostile()))
    assert answer["error"] == "unknown failed unexpectedly (ValueError: out of); please report it."


def test_context_wins_over_config_and_none_is_absent() -> None:
    config = {
        "operation": "get_issue_history",
        "storage_config": {"local_file": {"storage_path": "from-config"}},
    }

    async def both() -> list[dict[str, Any]]:
        stored = await issuelake.process(
            {"operation": "store_issues", "issues": a_run(), "query": None}, config
        )
        return [stored, await issuelake.process({"operation": None}, config), await issuelake.process(config)]

    stored, *histories = asyncio.run(both())
    assert stored["operation_result"]["operation"] == "store_issues"
    assert [len(answer["issues_data"]["history"]) for answer in histories] == [1, 1]
    assert Path("from-config/runs").is_dir()
    assert not Path("lake").exists()


@pytest.mark.parametrize(("context", "config"), [(None, None), ([], {}), ({}, "x"), (5, 5)])
def test_context_and_config_may_be_anything(context: Any, config: Any) -> None:
    answer = checked(asyncio.run(issuelake.process(context, config)))
    assert answer["success"] is False
    assert "mapping" in answer["error"] or "needs `issues`" in answer["error"]


def test_the_configuration_file_fills_in_what_the_document_leaves_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "config.yaml").write_text(
        "storage_config: {local_file: {storage_path: '${PLACE:-configured}'}}"
    )
    monkeypatch.setenv("ISSUELAKE_CONFIG", "config.yaml")
    ask("store_issues", issues=a_run(), storage_backend="local_file")
    ask("store_issues", issues=a_run(), storage_config={"local_file": {"storage_path": "own"}})
    monkeypatch.setenv("PLACE", "elsewhere")  # is looked up whenever a storage is opened
    ask("store_issues", issues=a_run())
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["configured", "elsewhere", "own"]


def test_a_storage_stays_open_by_its_configuration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def storage(**keys: Any) -> Any:
        return opened(configured({"storage_config": {"local_file": keys}}))

    first = storage(storage_path="one")
    assert storage(storage_path="one") is first
    assert storage(storage_path="two") is not first
    (folder / "sub").mkdir()
    monkeypatch.chdir("sub")
    assert storage(storage_path="one") is not first
    monkeypatch.chdir("..")
    assert storage(storage_path="one") is first
    for number in range(KEPT):
        storage(storage_path=str(number))
    assert storage(storage_path="one") is not first


def test_a_lost_connection_is_made_anew(sftp_server: servers.Storage) -> None:
    config = {
        "storage_backend": "fsspec",
        "storage_config": {
            "fsspec": {"url": f"{sftp_server.url}/lost", "storage_options": sftp_server.options}
        },
    }
    assert run({"issues": a_run(), **config})["success"]
    opened(configured(config)).backend.files.fs.client.close()  # type: ignore[attr-defined]
    assert run({"operation": "get_issues", **config})["success"] is False
    assert run({"operation": "get_issues", **config})["issues_data"]["total_count"] == 1


def test_health_of_several_storages(folder: Path) -> None:
    (folder / "in-the-way").write_text("no folder")
    config = {
        "fsspec": {"url": str(folder / "in-the-way"), "priority": 1},
        "local_file": {"storage_path": "well"},
    }
    answer = ask("get_health_status", storage_config=config, storage_backend="fsspec")
    health = answer["health_status"]
    assert answer["success"] is False
    assert answer["error"] == health["backends"][0]["last_error"]
    assert (health["storage_backend"], health["verdict"]) == ("fsspec", "down")
    errors = health["error_count"]
    health = ask("get_health_status", storage_config=config)["health_status"]
    assert (health["storage_backend"], health["verdict"]) == ("local_file", "degraded")
    assert [(b["name"], b["active"], b["healthy"]) for b in health["backends"]] == [
        ("fsspec", False, False),
        ("local_file", True, True),
    ]
    run({"operation": "nonsense"})
    well = ask("get_health_status", storage_config=config, storage_backend="local_file")
    assert well["success"] is True
    assert well["health_status"]["error_count"] == errors + 1


@pytest.fixture
def busy_loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.mark.alone
def test_a_thousand_calls_on_one_loop(busy_loop: asyncio.Runner) -> None:
    """No deadlock, few threads, and the loop stays awake; the machine's own hiccups get five tries."""
    latencies = []
    for attempt in range(5):
        worst, threads, answers = busy_loop.run(a_thousand_calls(attempt))
        assert [a["error"] for a in answers if not a["success"]] == []
        assert threads <= THREADS
        latencies.append(worst)
        if worst < LATENCY:
            break
    assert min(latencies) < LATENCY
    assert len(run({"operation": "get_issue_history"})["issues_data"]["history"]) == STORES * len(latencies)


THREADS = 1 + 3 * WORKERS + 2
"""This one, the workers with the helpers that storing takes, and whatever was there before."""


async def a_thousand_calls(attempt: int) -> tuple[float, int, list[dict[str, Any]]]:
    for first in ({"issues": a_run(f"{attempt}-0")}, {"operation": "get_issues"}):  # loads the libraries
        await issuelake.process(first)
    before = threading.active_count()
    reading = [{"operation": o} for o in ("get_latest_issues", "get_issue_summary", "get_health_status")]
    every = CALLS // STORES
    documents = [
        {"issues": a_run(f"{attempt}-{n // every}")} if n % every == 0 else reading[n % len(reading)]
        for n in range(CALLS)
    ]
    worst, threads = 0.0, 0

    async def tick() -> None:
        nonlocal worst, threads
        while True:
            slept = time.perf_counter()
            await asyncio.sleep(0.002)
            worst = max(worst, time.perf_counter() - slept - 0.002)
            threads = max(threads, threading.active_count())

    ticker = asyncio.create_task(tick())
    answers = await asyncio.gather(*map(issuelake.process, documents))
    await asyncio.sleep(0.01)  # a ticker that never had its turn would have seen nothing
    ticker.cancel()
    return worst, threads - before + WORKERS, answers


def test_a_cancelled_caller_leaves_whole_runs() -> None:
    async def impatient() -> None:
        calls = [asyncio.create_task(issuelake.process({"issues": a_run(f"run-{n}")})) for n in range(20)]
        await asyncio.sleep(0.05)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert (await issuelake.process({"issues": a_run("after")}))["success"]

    asyncio.run(impatient())
    summed = ask("get_issue_summary")["issue_summary"]["overall"]
    assert summed["runs"] == summed["total_issues"] >= 1


def test_timestamps_of_answers_are_moments_in_utc() -> None:
    answer = ask("get_issues")
    moment = datetime.fromisoformat(answer["operation_result"]["timestamp"])
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)
