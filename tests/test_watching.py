"""Dagster looks after the storages and tells people, over a webhook that listens."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pytest
import yaml

from assets.definitions.problems import problems
from pipelines.definitions import defs
from pipelines.jobs import reconcile_storages
from pipelines.watch import Told, Watch
from pipelines.watching import failures, findings, rejects, storage_health
from resources.config import Opened, configuration, configured
from resources.dagster_resources import LakeResource, NotificationsResource
from resources.errors import ConfigError
from tests.lake.state import append, check, document, stored

pytestmark = pytest.mark.filterwarnings("ignore:Property `OpDefinition.version` is deprecated")


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The URL of a webhook, and what has come in there."""
    came: list[dict[str, Any]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"json://127.0.0.1:{server.server_port}", came
        server.shutdown()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lake in whose place a test may put something, then another."""
    document = {
        "storage_config": {
            "fsspec": {"url": str(tmp_path / "db"), "health_check_interval": 0},
            "local_file": {"storage_path": str(tmp_path / "lake")},
        }
    }
    path = tmp_path / "storages.yaml"
    path.write_text(yaml.safe_dump(document))
    (tmp_path / "db").mkdir()
    monkeypatch.setenv("ISSUELAKE_CONFIG", str(path))
    return tmp_path


def away(folder: Path) -> None:
    (folder / "db").rename(folder / "db-away")
    (folder / "db").write_text("in the way")


def back(folder: Path) -> None:
    (folder / "db").unlink()
    (folder / "db-away").rename(folder / "db")


class Looks:
    """The sensor, look after look."""

    def __init__(self, urls: str, minutes: float = 60.0) -> None:
        self._notifications = NotificationsResource(urls=urls, suppress_minutes=minutes)
        self._cursor: str | None = None

    def look(self) -> dg.SensorResult:
        with dg.instance_for_test() as instance:
            context = dg.build_sensor_context(instance=instance, cursor=self._cursor)
            result = storage_health(context, lake=LakeResource(), notifications=self._notifications)
        assert isinstance(result, dg.SensorResult)
        self._cursor = result.cursor
        return result


def test_each_look_is_an_observation_and_a_check_result_of_each_backend(config: Path) -> None:
    away(config)
    found = {
        (type(event).__name__, event.asset_key.path[-1]): event for event in Looks("").look().asset_events
    }
    assert set(found) == {
        (kind, name)
        for kind in ("AssetObservation", "AssetCheckEvaluation")
        for name in ("fsspec", "local_file")
    }
    checked = found["AssetCheckEvaluation", "fsspec"]
    assert isinstance(checked, dg.AssetCheckEvaluation)
    assert (checked.passed, checked.severity) == (False, dg.AssetCheckSeverity.WARN)
    observed = found["AssetObservation", "local_file"].metadata
    assert observed["used"].value is True
    assert observed["free_bytes"].value > 0


def test_people_are_told_once_of_what_goes_down_and_comes_back(
    config: Path, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    url, came = webhook
    looks = Looks(url, minutes=0)
    looks.look()
    assert came == []
    away(config)
    looks.look()
    looks.look()
    assert [message["title"] for message in came] == ["issuelake: fsspec is down"]
    assert str(config / "db") in came[0]["message"]
    back(config)
    looks.look()
    looks.look()
    assert [message["title"] for message in came][1:] == ["issuelake: fsspec has recovered"]


def test_what_flaps_is_told_of_once_in_a_while() -> None:
    watch = Watch(None)
    down = {"name": "s3", "healthy": False, "url": "s3://b", "last_error": "away", "owed_batches": 0}
    up = down | {"healthy": True}
    told = []
    for minute, state in enumerate([up, down, up, down, up, down, down, down]):
        for news in watch.look([state], 1000.0 + minute * 60, suppress=300):
            watch.told(news.backend, 1000.0 + minute * 60)
            told.append((minute, news.title))
        watch = Watch(watch.cursor)
    assert told == [(1, "s3 is down")]
    [news] = watch.look([up], 1000.0 + 20 * 60, suppress=300)
    assert news.title == "s3 has recovered"


def test_who_was_not_reached_is_told_again(config: Path) -> None:
    away(config)
    looks = Looks("json://127.0.0.1:1")
    looks.look()
    assert json.loads(looks.look().cursor or "")["fsspec"]["told_healthy"] is True


def test_a_recovery_asks_for_the_reconciliation(config: Path) -> None:
    away(config)
    opened = Opened(configured(configuration()))
    append(opened.begin().backend, [document("a")])
    looks = Looks("")
    assert looks.look().run_requests == []
    back(config)
    [request] = looks.look().run_requests or []
    assert request.run_key
    done = reconcile_storages.execute_in_process(resources={"lake": LakeResource()})
    assert done.success
    check(
        Opened(configured({"storage_backend": "fsspec", **only(config)})).begin().backend, {"a": stored("a")}
    )
    assert looks.look().run_requests == []


def only(config: Path) -> dict[str, Any]:
    document = yaml.safe_load((config / "storages.yaml").read_text())
    return {"storage_config": {"fsspec": document["storage_config"]["fsspec"]}}


def test_a_failed_run_is_told_of(webhook: tuple[str, list[dict[str, Any]]]) -> None:
    url, came = webhook

    @dg.op
    def fails() -> None:
        raise ValueError("for a reason")

    @dg.job
    def doomed() -> None:
        fails()

    with dg.instance_for_test() as instance:
        done = doomed.execute_in_process(instance=instance, raise_on_error=False)
        [event] = [e for e in done.all_events if e.event_type == dg.DagsterEventType.RUN_FAILURE]
        context = dg.build_run_status_sensor_context(
            "failures", event, instance, done.dagster_run
        ).for_run_failure()
        failures(context, notifications=NotificationsResource(urls=url))
    assert came[0]["title"] == "issuelake: doomed failed"


def test_many_rejects_are_told_of(webhook: tuple[str, list[dict[str, Any]]]) -> None:
    url, came = webhook

    @dg.asset
    def batches() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(
            metadata={"rejected": 3, "runs_stored": 7, "duplicates": 0, "rejections": ["a.json: $: not JSON"]}
        )

    with dg.instance_for_test() as instance:
        dg.materialize([batches], instance=instance)
        resources = {
            "lake": LakeResource(),
            "notifications": NotificationsResource(urls=url),
        }
        context = dg.build_sensor_context(instance=instance, resources=resources, definitions=None)
        rejects.evaluate_tick(context)
    assert came[0]["title"] == "issuelake: 3 of 10 runs were rejected"
    assert "a.json: $: not JSON" in came[0]["message"]


def test_new_critical_problems_are_told_of_once(
    tmp_path: Path, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    url, came = webhook
    lake = LakeResource(storage=str(tmp_path / "lake"))
    notifications = NotificationsResource(urls=url)
    cursor: str | None = None

    def look() -> None:
        nonlocal cursor
        with dg.instance_for_test() as instance:
            dg.materialize([problems], instance=instance, resources={"lake": lake})
            context = dg.build_sensor_context(instance=instance, cursor=cursor)
            result = findings(context, lake=lake, notifications=notifications)
        assert isinstance(result, dg.SensorResult)
        cursor = result.cursor

    now = datetime.now(UTC)
    store(lake, "old", now - timedelta(hours=2), ["was there before"])
    look()
    assert came == []
    store(lake, "newer", now - timedelta(hours=1), ["was there before", "eval on input\nwith a second line"])
    look()
    look()
    [message] = came
    assert message["title"] == "issuelake: new critical problems: 1"
    assert message["message"] == "demo: eval on input with a second line (app.py)"


def test_a_broken_sla_is_told_of(tmp_path: Path, webhook: tuple[str, list[dict[str, Any]]]) -> None:
    url, came = webhook
    lake = LakeResource(storage=str(tmp_path / "lake"))
    store(lake, "old", datetime.now(UTC) - timedelta(days=400), ["forgotten"])
    told = msgspec.json.encode(Told(begun=True)).decode()
    with dg.instance_for_test() as instance:
        context = dg.build_sensor_context(instance=instance, cursor=told)
        findings(context, lake=lake, notifications=NotificationsResource(urls=url))
    assert [message["title"] for message in came] == [
        "issuelake: new critical problems: 1",
        "issuelake: problems past their SLA: 1",
    ]


def store(lake: LakeResource, run_id: str, moment: datetime, descriptions: list[str]) -> None:
    """A run of `demo` that found critical issues."""
    issues = [{"severity": "critical", "description": d, "file_path": "app.py"} for d in descriptions]
    run = {
        "validation_run_id": run_id,
        "timestamp": moment.isoformat(),
        "target_plugin": "demo",
        "issues_list": issues,
    }
    append(lake.open(), [run])


def test_what_is_no_address_is_refused_without_being_told() -> None:
    with pytest.raises(ConfigError, match="Notification URL number 2 is none") as caught:
        NotificationsResource(urls="json://localhost nonsense-hunter2").tell("title", "body")
    assert "hunter2" not in str(caught.value)


def test_the_sensors_run_from_the_start() -> None:
    running = {s.name for s in defs.sensors or () if s.default_status == dg.DefaultSensorStatus.RUNNING}
    assert running >= {"storage_health", "failures", "rejects"}
