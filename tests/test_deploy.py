"""deploy/: valid by the rules of those who read it, and its processes run, as its files say."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from compose_spec import PyCompose
from dagster import DagsterInstance, QueuedRunCoordinator
from dagster._config import process_config, resolve_to_config_type
from dagster._core.instance.config import dagster_instance_config_schema
from dagster_k8s import K8sRunLauncher

from resources.config import configured
from resources.files import open_files
from tests import servers
from tests.test_daemon import run as run_file

PROJECT = Path(__file__).parent.parent
DEPLOY = PROJECT / "deploy"
WITHIN = 200.0
GIVEN = {
    "POSTGRES_PASSWORD": servers.PASSWORD,
    "S3_ACCESS_KEY": "owner",
    "S3_SECRET_KEY": servers.SECRETS["owner"],
}


def load(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text("utf-8"))


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """As compose does it. Raises `KeyError` where one that must be given is not."""
    if isinstance(value, dict):
        return {key: interpolated(member, variables) for key, member in value.items()}
    if isinstance(value, list):
        return [interpolated(member, variables) for member in value]
    if not isinstance(value, str):
        return value

    def put(match: re.Match[str]) -> str:
        name, how, rest = match.groups()
        if variables.get(name):
            return variables[name]
        if how == ":-":
            return rest
        raise KeyError(f"{name}: {rest}")

    return re.sub(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}", put, value)


# --- what is written -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["compose.yaml", "compose.celery.yaml"])
def test_compose_takes_the_files(name: str) -> None:
    whole = interpolated(load(name), GIVEN)
    compose = PyCompose.from_yaml(yaml.safe_dump(whole))
    known = set(compose.service_names()) | set(load("compose.yaml")["services"])
    volumes = set(whole["volumes"])
    for service in whole["services"].values():
        assert set(service.get("depends_on", ())) <= known
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in volumes or source == "./inbox" or (DEPLOY / source).is_file(), volume


def test_compose_refuses_to_start_without_secrets() -> None:
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    for name in GIVEN:
        assert set(re.findall(rf"\$\{{?{name}(..)", text)) == {":?"}
        with pytest.raises(KeyError, match=name):
            interpolated(load("compose.yaml"), {key: value for key, value in GIVEN.items() if key != name})


def test_the_image_is_made_of_what_is_there() -> None:
    ignored = (PROJECT / ".dockerignore").read_text("utf-8").splitlines()
    let_through = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*)$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.M)
    for source in (word for line in copied for word in line.split()[:-1]):
        assert (PROJECT / source).exists(), source
        assert source.split("/")[0] in let_through, source
    extras = re.findall(r"\.\[([^\]]*)\]", (DEPLOY / "Dockerfile").read_text("utf-8"))[0].split(",")
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(extras) <= set(project["optional-dependencies"])


def test_the_instances_differ_in_nothing_but_where_they_keep_and_launch() -> None:
    here, there, celery = (
        yaml.safe_load((PROJECT / "dagster.yaml").read_text("utf-8")),
        load("dagster.yaml"),
        load("dagster.celery.yaml"),
    )
    launcher = celery.pop("run_launcher")["config"]
    assert celery == there
    kept = ("storage", "local_artifact_storage", "compute_logs")
    assert {k: v for k, v in here.items() if k not in kept} == {
        k: v for k, v in there.items() if k not in kept
    }
    worker = load("celery.yaml")["execution"]["config"]
    assert (launcher["broker"], launcher["backend"]) == (worker["broker"], worker["backend"])


def test_the_storage_of_the_configuration_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in interpolated(load("compose.yaml"), GIVEN)["services"]["code"]["environment"].items():
        monkeypatch.setenv(name, value)
    [first, *_] = configured(load("issuelake.yaml"))
    assert (first.name, first.settings.place()) == ("aws_s3", "s3://issuelake/lake")


def snake(value: Any) -> Any:
    """The chart's camelCase as Dagster's own configuration has it."""
    if isinstance(value, dict):
        return {re.sub(r"([A-Z])", lambda m: f"_{m[0].lower()}", key): snake(v) for key, v in value.items()}
    return [snake(member) for member in value] if isinstance(value, list) else value


def test_what_the_chart_makes_of_the_values_is_an_instance_as_the_others() -> None:
    values, here = load("helm-values.yaml"), load("dagster.yaml")
    daemon = values["dagsterDaemon"]
    launcher = snake(values["runLauncher"]["config"]["k8sRunLauncher"])
    launcher |= {
        "service_account_name": "dagster",
        "instance_config_map": "dagster-instance",
        "dagster_home": "/opt",
    }
    config = process_config(resolve_to_config_type(K8sRunLauncher.config_type()), launcher)
    assert config.success, config.errors
    queue = snake(daemon["runCoordinator"]["config"]["queuedRunCoordinator"])
    limit = queue["tag_concurrency_limits"][0]
    limit["value"] = {"applyLimitPerUniqueValue": limit["value"]["apply_limit_per_unique_value"]}
    queued = process_config(resolve_to_config_type(QueuedRunCoordinator.config_type()), queue)
    assert queued.success, queued.errors
    assert queue["tag_concurrency_limits"] == here["concurrency"]["runs"]["tag_concurrency_limits"]
    assert queue["max_concurrent_runs"] == here["concurrency"]["runs"]["max_concurrent_runs"]
    assert values["postgresql"]["postgresqlScheme"] == here["storage"]["postgres"]["postgres_db"]["scheme"]
    for name in ("runMonitoring", "runRetries", "sensors", "schedules"):
        assert snake(daemon[name]) == here[next(iter(snake({name: 0})))]
    instance = {
        key: here[key] for key in ("run_monitoring", "run_retries", "sensors", "schedules", "telemetry")
    }
    checked = process_config(dagster_instance_config_schema(), instance)
    assert checked.success, checked.errors


def test_the_chart_starts_the_code_server_as_compose_does() -> None:
    [deployment] = load("helm-values.yaml")["dagster-user-deployments"]["deployments"]
    compose = load("compose.yaml")["services"]["code"]["command"]
    assert compose[-4:] == deployment["dagsterApiGrpcArgs"]
    assert str(deployment["port"]) in compose


# --- what runs -------------------------------------------------------------------------------------


class World:
    """The processes of compose.yaml on this machine, in `home` instead of /opt/dagster."""

    def __init__(
        self, home: Path, postgresql: servers.Sql, seaweedfs: servers.Server, stack: ExitStack
    ) -> None:
        self.home = home
        self.inbox = home / "inbox"
        self.inbox.mkdir()
        self.stack = stack
        self.compose = interpolated(load("compose.yaml"), GIVEN)["services"]
        self.ports = {"3000": str(servers.free_port()), "4000": str(servers.free_port())}
        self.environment = self.compose["code"]["environment"] | {
            "DAGSTER_HOME": str(home),
            "DAGSTER_KEPT": str(home / "kept"),
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": str(postgresql.port),
            "DAGSTER_POSTGRES_USER": postgresql.username,
            "ISSUELAKE_CODE_HOST": "127.0.0.1",
            "ISSUELAKE_CODE_PORT": self.ports["4000"],
            "ISSUELAKE_CONFIG": str(home / "issuelake.yaml"),
            "ISSUELAKE_INBOX": str(self.inbox),
            "ISSUELAKE_BUCKET": "deployed",
            "AWS_ENDPOINT_URL": seaweedfs.url,
        }
        for name in ("dagster.yaml", "workspace.yaml", "issuelake.yaml", "celery.yaml"):
            shutil.copy(DEPLOY / name, home)

    def start(self, name: str, command: list[str]) -> None:
        here = {"0.0.0.0": "127.0.0.1", **self.ports}
        words = [here.get(word, word.replace("/opt/dagster", str(self.home))) for word in command]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "ISSUELAKE", "AWS"))}
        programs = Path(sys.executable).parent
        clean["PATH"] = f"{programs}:{clean['PATH']}"
        with (self.home / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(programs / words[0]), *words[1:]],
                cwd=self.home,
                env={**clean, **self.environment, "PYTHONPATH": str(PROJECT)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.stack.callback(stop, process)

    def log(self) -> str:
        return "\n".join(f"{p.name}: {p.read_text()[-2500:]}" for p in self.home.glob("*.log"))

    def drop(self, name: str, day: str) -> None:
        (self.home / name).write_text(run_file(name, f"{day}T12:00:00Z", ["high", "low"]))
        (self.home / name).rename(self.inbox / name)

    def wait_for(self, condition: Callable[[], Any], what: str) -> None:
        until = time.monotonic() + WITHIN
        while not condition():
            if time.monotonic() > until:
                pytest.fail(f"no {what} within {WITHIN:.0f} s\n{self.log()}")
            time.sleep(0.3)


def stop(process: subprocess.Popen[bytes]) -> None:
    """It, and what it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def world(tmp_path: Path, postgresql_server: servers.Sql, seaweedfs: servers.Server) -> Iterator[World]:
    servers.s3_client(seaweedfs).create_bucket(Bucket="deployed")
    with psycopg.connect(
        host="127.0.0.1",
        port=postgresql_server.port,
        user="root",
        password=postgresql_server.password,
        dbname="postgres",
        autocommit=True,
    ) as connection:
        connection.execute("CREATE DATABASE dagster")
    with ExitStack() as stack:
        yield World(tmp_path, postgresql_server, seaweedfs, stack)


@contextmanager
def redis(folder: Path) -> Iterator[int]:
    """A Redis server, as compose starts it."""
    program = shutil.which("redis-server")
    if not program:
        servers.missing("apt: redis-server")
    port = servers.free_port()
    command = load("compose.celery.yaml")["services"]["redis"]["command"]
    server = servers.Server(
        [program, *command[1:], "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)],
        port,
        folder / "redis.log",
    )
    with servers.running(server):
        yield port


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_file_dropped_in_is_summarised_by_the_processes_of_compose(world: World) -> None:
    """With a Celery worker: what differs without one is who launches runs, as tests/test_daemon.py has it."""
    port = world.stack.enter_context(redis(world.home))
    celery = load("compose.celery.yaml")
    for name, value in celery["x-celery"]["environment"].items():
        world.environment[name] = value.replace("redis:6379", f"127.0.0.1:{port}")
    shutil.copy(DEPLOY / "dagster.celery.yaml", world.home / "dagster.yaml")
    world.start("worker", celery["services"]["worker"]["command"])
    for name in ("code", "daemon", "webserver"):
        world.start(name, world.compose[name]["command"])
    world.drop("one.json", "2024-05-01")
    summaries = open_files(
        "s3://deployed/lake",
        {
            "key": "owner",
            "secret": servers.SECRETS["owner"],
            "endpoint_url": world.environment["AWS_ENDPOINT_URL"],
        },
    )
    world.wait_for(lambda: summaries.find("daily_summary/run_date=2024-05-01"), "summary")
    world.wait_for(lambda: served(f"http://127.0.0.1:{world.ports['3000']}/server_info"), "webserver")
    assert not list(world.inbox.iterdir())
    with pytest.MonkeyPatch.context() as patched:
        for name, value in world.environment.items():
            patched.setenv(name, value)
        with DagsterInstance.from_config(str(world.home)) as instance:
            runs = [run for run in instance.get_runs() if run.is_finished]
    assert {"ingest_inbox"} <= {run.job_name for run in runs}
    assert all(run.is_success and "dagster-celery/task_id" in run.tags for run in runs)
    assert servers.SECRETS["owner"] not in world.log()
    assert servers.PASSWORD not in world.log()


def served(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
