"""Traces and metrics: sent to a real receiver of OTLP over HTTP, and nothing of them otherwise."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from resources import telemetry
from resources.errors import ConfigError
from tests import servers
from tests.lake.state import document
from tests.test_cli import Cli

SECRET, CONTENT = "otlp-hunter2-4f", "only-in-a-run-9c"


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what it is sent, as bytes and decoded."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[bytes] = []
        self.spans: list[dict[str, Any]] = []
        self.points: dict[str, list[tuple[dict[str, Any], float]]] = {}
        self.services: set[str] = set()

    def take_traces(self, body: bytes) -> None:
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services.add(attributes(of_resource.resource)["service.name"])
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    ids = {"id": span.span_id, "parent": span.parent_span_id, "status": span.status.code}
                    self.spans.append({"name": span.name, **ids, **attributes(span)})

    def take_metrics(self, body: bytes) -> None:
        for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for of_scope in of_resource.scope_metrics:
                for metric in of_scope.metrics:
                    kind = getattr(metric, str(metric.WhichOneof("data")))
                    for point in kind.data_points:
                        value = point.sum if hasattr(point, "bucket_counts") else point.as_int
                        self.points.setdefault(metric.name, []).append((attributes(point), value))

    def of(self, name: str) -> list[dict[str, Any]]:
        return [span for span in self.spans if span["name"] == name]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.bodies.append(body)
        {"/v1/traces": self.server.take_traces, "/v1/metrics": self.server.take_metrics}[self.path](body)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def attributes(of: Any) -> dict[str, Any]:
    def plain(value: AnyValue) -> Any:
        return getattr(value, str(value.WhichOneof("value")))

    return {pair.key: plain(pair.value) for pair in of.attributes}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """With a configuration whose first backend is SQLite, its second a lake, and a run to take in."""
    (tmp_path / "config.yaml").write_text(
        "storage_config:\n  sqlite: {database_path: issues.db}\n  local_file: {storage_path: local}\n"
    )
    run = document(CONTENT, issues=3)
    run["issues_list"][0]["description"] = f"{CONTENT} is wrong"
    (tmp_path / "run.json").write_text(json.dumps(run))
    (tmp_path / "bad.json").write_text(json.dumps({"issues_list": [{"severity": CONTENT}]}))
    return Cli(tmp_path)


def variables(receiver: Receiver) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_port}",
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={SECRET}",
    }


def test_ingest_backends_and_queries_are_told_of(receiver: Receiver, cli: Cli) -> None:
    asking = variables(receiver)
    cli.run("ingest", "run.json", "bad.json", "--storage", "lake", code=1, **asking)  # one is rejected
    [ingest] = receiver.of("issuelake.ingest")
    told = {key: ingest[f"issuelake.{key}"] for key in ("files", "runs", "issues", "rejected", "duplicates")}
    assert told == {"files": 2, "runs": 1, "issues": 3, "rejected": 1, "duplicates": 0}
    assert ingest["issuelake.bytes"] == sum((cli.folder / f).stat().st_size for f in ("run.json", "bad.json"))
    [commit] = receiver.of("issuelake.backend.commit")
    assert commit["parent"] == ingest["id"]
    assert (commit["issuelake.backend"], commit["issuelake.rows"]) == ("local_file", 4)
    assert commit["issuelake.bytes"] > 1000

    cli.run("ingest", "run.json", "--config", "config.yaml", **asking)
    [append] = [s for s in receiver.of("issuelake.backend.append") if s["issuelake.backend"] == "sqlite"]
    assert append["issuelake.rows"] == 4

    cli.run("summary", "--storage", "lake", **asking)
    [query] = [s for s in receiver.of("issuelake.query") if s["issuelake.query"] == "get_issue_summary"]
    assert (query["issuelake.backend"], query["issuelake.rows"]) == ("local_file", 3)
    assert any(span["parent"] == query["id"] for span in receiver.of("issuelake.backend.reading"))
    cli.run("sql", f"SELECT * FROM issues WHERE description <> '{CONTENT}'", "--storage", "lake", **asking)
    assert [s["issuelake.rows"] for s in receiver.of("issuelake.query") if s["issuelake.query"] == "sql"] == [
        3
    ]
    cli.run("compact", "--grace", "0", "--storage", "lake", **asking)
    assert receiver.of("issuelake.backend.maintain")

    sums = {name: sum(value for _, value in points) for name, points in receiver.points.items()}
    assert sums["issuelake.issues"] == 6
    assert sums["issuelake.runs"] == 2
    assert sums["issuelake.duration"] > 0
    assert {"ingest", "query", "backend.commit"} <= {
        of["operation"] for of, _ in receiver.points["issuelake.duration"]
    }
    assert receiver.services == {"issuelake"}
    sent = b"\n".join(receiver.bodies)
    for private in (SECRET, CONTENT, str(cli.folder), "is wrong"):
        assert private.encode() not in sent


def test_what_fails_is_told_without_its_reason(receiver: Receiver, cli: Cli) -> None:
    (cli.folder / "s3.yaml").write_text(
        "storage_backend: aws_s3\nstorage_config:\n"
        f"  aws_s3: {{bucket: away, timeout_seconds: 30, access_key_id: {SECRET},"
        f" secret_access_key: {SECRET}, endpoint_url: 'http://127.0.0.1:{servers.free_port()}'}}\n"
    )
    cli.run("summary", "--config", "s3.yaml", code=1, **variables(receiver), AWS_MAX_ATTEMPTS="1")
    for name in ("issuelake.query", "issuelake.backend.reading"):
        [failed] = receiver.of(name)
        assert (failed["error.type"], failed["status"]) == ("StorageError", 2)
    assert SECRET.encode() not in b"\n".join(receiver.bodies)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_it_is_off_unless_it_is_asked_for(
    given: dict[str, str], asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert telemetry.asked() == asked


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_TRACES_EXPORTER", "console"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]
)
def test_what_there_is_no_exporter_for_is_said(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv(name, value)
    telemetry._instruments.cache_clear()
    with pytest.raises(ConfigError, match=f"{name} is {value}"), telemetry.span("x"):
        pass
    telemetry._instruments.cache_clear()


def test_nothing_of_it_is_imported_where_nobody_asks(cli: Cli) -> None:
    cli.run("ingest", "run.json")
    for words in (["latest"], ["summary"], ["ingest", "run.json"]):
        code = (
            f"import sys; sys.argv = ['issuelake', *{words!r}]\n"
            "from pipelines.cli import main\n"
            "try: main()\nexcept SystemExit: pass\n"
            "loaded = [m for m in sys.modules if m.startswith('opentelemetry')]; assert not loaded, loaded"
        )
        environment = {"PATH": "/usr/bin", "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=cli.folder, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()


def test_without_the_packages_everything_goes_on(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").write_text("raise ImportError('not here')")
    cli.run("ingest", "run.json", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", PYTHONPATH=str(tmp_path))


def test_a_receiver_that_is_away_changes_no_answer(cli: Cli) -> None:
    away = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{servers.free_port()}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    }
    assert cli.json("ingest", "run.json", **away)["runs_stored"] == 1
