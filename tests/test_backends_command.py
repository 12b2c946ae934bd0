"""`issuelake backends`: what there is, what is configured, and why something cannot be used."""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from pipelines.operations import listing as listing_module
from pipelines.operations.listing import Listed, listing
from resources.backends import BACKENDS, drivers
from resources.backends.drivers import DRIVERS
from resources.config import configured
from tests.servers import free_port
from tests.test_cli import ENVIRONMENT, Cli

ROOT = Path(__file__).parent.parent


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def config(folder: Path, **keys: Any) -> str:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"storage_config": keys}, sort_keys=False))
    return str(path)


def by_name(backends: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {backend["name"]: backend for backend in backends}


def test_without_a_configuration_the_local_lake_is_in_use(cli: Cli) -> None:
    listed = cli.json("backends")
    assert listed["active"] == "local_file"
    assert listed["count"] == len(listed["backends"]) >= len(BACKENDS) + 2
    found = by_name(listed["backends"])
    assert set(found) >= {*BACKENDS, "memory", "fault_injection"}
    local = found["local_file"]
    assert (local["active"], local["reachable"], local["healthy"]) == (True, True, True)
    assert local["latency_ms"] > 0
    s3 = found["aws_s3"]
    assert (s3["configured"], s3["reachable"], s3["healthy"], s3["priority"]) == (False, None, None, 3)
    assert found["memory"]["kind"] == "plugin"
    assert found["memory"]["offered_by"].startswith("issuelake ")


def test_what_cannot_be_used_says_why(cli: Cli) -> None:
    path = config(
        cli.folder,
        sqlite={"database_path": "issues.db"},
        postgresql={"port": free_port(), "username": "u", "password": "hunter2-4711", "timeout_seconds": 2},
        custom_backends={
            "gone": {"plugin_name": "no_such.module:Thing", "priority": 1},
            "slow": {"plugin_name": "fault_injection", "config": {"latency_ms": 60_000}},
            "failing": {"plugin_name": "fault_injection", "config": {"failure_rate": 1}},
        },
    )
    started = time.monotonic()
    done = cli.run("backends", "--config", path, "--timeout", "3", "--json")
    assert time.monotonic() - started < 15
    assert b"hunter2" not in done.stdout + done.stderr
    listed = cli.json("backends", "--config", path, "--timeout", "3")
    first = [b["name"] for b in listed["backends"] if b["configured"]]
    assert first == ["gone", "sqlite", "postgresql", "slow", "failing", "local_file"]
    assert listed["active"] == "sqlite"
    found = by_name(listed["backends"])
    assert found["sqlite"]["healthy"]
    assert (found["gone"]["installed"], found["gone"]["kind"]) == (False, "custom")
    for name, reason in (
        ("gone", "No module named 'no_such'"),
        ("postgresql", "Connection refused"),
        ("slow", "There is no answer within 3 s."),
        ("failing", "check failed, as asked for"),
    ):
        assert (found[name]["reachable"], found[name]["healthy"]) == (False, False), name
        assert reason in found[name]["reason"]


def test_it_fails_where_the_one_in_use_does(cli: Cli) -> None:
    failing = {"plugin_name": "fault_injection", "config": {"failure_rate": 1}}
    path = config(cli.folder, custom_backends={"failing": failing})
    named = yaml.safe_load((cli.folder / path).read_text()) | {"storage_backend": "failing"}
    (cli.folder / path).write_text(yaml.safe_dump(named))
    done = cli.run("backends", "--config", path, code=1)
    assert "failing is in use" in done.stdout.decode()
    assert cli.run("backends", "--config", "nowhere.yaml", code=2).stdout == b""


def test_the_table_says_what_the_document_says(cli: Cli) -> None:
    shown = cli.run("backends").stdout.decode()
    lines = {line.split()[0]: line.split()[1:] for line in shown.splitlines()[2:]}
    assert lines["local_file"][:5] == ["yes", "healthy", "99", "in", "use,"]
    assert lines["memory"][:4] == ["yes", "not", "configured", "5"]


def test_one_that_can_be_read_but_not_written_is_reachable(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "health").write_text("in the way of the folder of probes")
    keys = {"local_file": {"storage_path": str(tmp_path / "lake")}}
    found = listing(configured({"storage_config": keys}))[0]
    assert (found.reachable, found.healthy) == (True, False)


def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "find_spec", lambda _: None)
    [s3] = [found for found in listing(configured({})) if found.name == "aws_s3"]
    assert not s3.installed
    assert s3.install == "pip install 'issuelake[s3]'"


def test_every_driver_is_in_its_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for name, (module, extra) in DRIVERS.items():
        assert name in BACKENDS
        [required] = [Requirement(line).name for line in extras[extra]]
        assert required.replace("-", "_") == module


def test_they_are_looked_at_side_by_side() -> None:
    slow = {"plugin_name": "fault_injection", "config": {"latency_ms": 400}}
    keys = {"custom_backends": {f"slow{n}": slow for n in range(6)}}
    started = time.monotonic()
    found = listing(configured({"storage_config": keys}))
    assert time.monotonic() - started < 2
    assert [b.healthy for b in found[:6]] == [True] * 6


def test_a_backend_that_raises_anything_is_only_not_healthy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from resources.backends.custom.memory import Memory

    def check(_: Memory) -> None:
        raise KeyError("of its own")

    monkeypatch.setattr(Memory, "check", check)
    keys = {"custom_backends": {"mine": {"plugin_name": "memory"}}}
    found: Listed = listing(configured({"storage_config": keys}))[0]
    assert (found.healthy, found.reason) == (False, "KeyError: 'of its own'")
    assert listing_module.DEADLINE == 10.0


# --- what an installed package offers --------------------------------------------------------------


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the example package is installed."""
    folder = tmp_path_factory.mktemp("packages")
    source = folder / "source"
    subprocess.run(["cp", "-r", str(ROOT / "examples" / "custom_backend"), str(source)], check=True)
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    target = folder / "installed"
    done = subprocess.run(
        [sys.executable, *install, "--target", str(target), str(source)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return target


def test_an_installed_package_is_found_by_a_fresh_process(cli: Cli, packages: Path) -> None:
    path = ":".join(filter(None, [str(packages), ENVIRONMENT.get("PYTHONPATH", str(ROOT))]))
    offered = by_name(cli.json("backends", PYTHONPATH=path)["backends"])["git_folder"]
    assert (offered["kind"], offered["installed"], offered["configured"]) == ("plugin", True, False)
    assert offered["offered_by"] == "issuelake-git-folder 0.1.0"
    keys = {"plugin_name": "git_folder", "config": {"path": "issues"}}
    written = config(cli.folder, custom_backends={"team": keys})
    runs = str(ROOT / "examples" / "runs" / "flask-1.0.json")
    assert cli.json("ingest", runs, "--config", written, PYTHONPATH=path)["storage_backend_used"] == "team"
    assert cli.json("latest", "--config", written, PYTHONPATH=path)["issues_data"]["target_plugin"] == "flask"
    [kept] = (cli.folder / "issues" / "runs").iterdir()
    assert kept.suffix == ".json"


def test_the_example_passes_the_contract_as_installed(packages: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "examples/custom_backend/tests"],
        cwd=ROOT,
        env=ENVIRONMENT | {"PYTHONPATH": f"{packages}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
