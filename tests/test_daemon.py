"""The real daemon and the code server, as `workspace.yaml` and `dagster.yaml` say: a file dropped
into the inbox is in the day's summary, and nobody touched anything."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

PROJECT = Path(__file__).parent.parent
WITHIN = 60.0
"""Seconds from the drop to the summary."""

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(400)]


@dataclass(frozen=True)
class Running:
    """A daemon that runs in `home`, and what it works on."""

    home: Path
    inbox: Path
    lake: Path

    def drop(self, name: str, content: str) -> None:
        """Put a file into the inbox, as another program would: written beside, then renamed."""
        written = self.home / name
        written.write_text(content)
        written.rename(self.inbox / name)

    def summary(self, day: str) -> list[dict[str, Any]]:
        """The rows of the day's one summary file; none while there is none, or two."""
        files = list((self.lake / "daily_summary" / f"run_date={day}").glob("*.parquet"))
        try:
            return pq.read_table(files[0]).to_pylist() if len(files) == 1 else []
        except FileNotFoundError:
            return []

    def log(self) -> str:
        return (self.home / "daemon.log").read_text()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(PROJECT / name, home)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("DAGSTER", "ISSUELAKE"))},
        "DAGSTER_HOME": str(home),
        "PYTHONPATH": str(PROJECT),
    }
    with (home / "daemon.log").open("w") as log:
        daemon = subprocess.Popen(
            [str(Path(sys.executable).parent / "dagster-daemon"), "run"],
            cwd=home,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        inbox = home / "inbox"
        wait_for(inbox.exists, 120, lambda: (home / "daemon.log").read_text())  # its sensor has looked
        yield Running(home, inbox, home / "lake")
    finally:
        os.kill(daemon.pid, signal.SIGINT)
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()


def wait_for(condition: Callable[[], Any], seconds: float, log: Callable[[], str]) -> float:
    """How long it took until `condition` held."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            pytest.fail(f"Not within {seconds:.0f} s. The daemon said:\n{log()[-6000:]}")
        time.sleep(0.2)
    return time.monotonic() - started


def run(run_id: str, timestamp: str, severities: list[str]) -> str:
    issues = [{"severity": severity, "description": f"{severity} of {run_id}"} for severity in severities]
    return json.dumps(
        {
            "validation_run_id": run_id,
            "timestamp": timestamp,
            "target_plugin": "demo",
            "pipeline_score": 80,
            "issues_list": issues,
        }
    )


def summarised(running: Running, day: str, runs: int, total_issues: int) -> Callable[[], bool]:
    return lambda: (
        [(row["runs"], row["total_issues"]) for row in running.summary(day)] == [(runs, total_issues)]
    )


def last_rejected_check(running: Running) -> Any:
    """The last result of the check of rejected runs."""
    from dagster import AssetCheckKey, AssetKey, DagsterInstance

    key = AssetCheckKey(AssetKey("batches"), "rejected_share")
    before = Path.cwd()
    os.chdir(running.home)  # what dagster.yaml names is relative to where Dagster was started
    try:
        with DagsterInstance.from_config(str(running.home)) as instance:
            record = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)[0]
            event = record.event
            return event.dagster_event.event_specific_data if event and event.dagster_event else None
    finally:
        os.chdir(before)


def test_a_dropped_file_is_summarised_within_a_minute(running: Running) -> None:
    today = datetime.now(UTC).date().isoformat()
    running.drop("first.json", run("first", f"{today}T00:00:01Z", ["critical", "low"]))
    took = wait_for(summarised(running, today, 1, 2), WITHIN, running.log)
    print(f"a new file: {took:.1f} s")
    assert not list(running.inbox.iterdir())

    running.drop("second.json", run("second", f"{today}T00:00:02Z", ["high"]))
    took = wait_for(summarised(running, today, 2, 3), WITHIN, running.log)
    print(f"a second one for the day: {took:.1f} s")


def test_a_file_for_a_day_years_back_updates_that_day(running: Running) -> None:
    running.drop("old.json", run("old", "2015-03-01T12:00:00Z", ["medium"] * 3))
    took = wait_for(summarised(running, "2015-03-01", 1, 3), WITHIN, running.log)
    print(f"an old day: {took:.1f} s")


def test_good_files_land_beside_a_broken_one_and_the_check_says_so(running: Running) -> None:
    shutil.copy(PROJECT / "examples/broken/severity-misspelt.json", running.home / "broken.json")
    (running.home / "broken.json").rename(running.inbox / "broken.json")
    running.drop("good-1.json", run("good-1", "2016-01-01T12:00:00Z", ["low"]))
    running.drop("good-2.json", run("good-2", "2017-01-01T12:00:00Z", []))
    took = wait_for(summarised(running, "2016-01-01", 1, 1), WITHIN, running.log)
    took += wait_for(summarised(running, "2017-01-01", 1, 0), WITHIN - took, running.log)
    print(f"two old days beside a broken file: {took:.1f} s")
    assert not list(running.inbox.iterdir())
    check = last_rejected_check(running)
    assert not check.passed
    assert check.severity.value in ("WARN", "ERROR")
    assert list((running.lake / "rejected").rglob("*broken.json"))
