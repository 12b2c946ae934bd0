"""Writers, a compactor and readers on one lake while processes are killed at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from resources.files import LocalFiles
from resources.lake import Lake
from tests.lake import crowd
from tests.lake.state import NOW, State, read, stored, within

SECONDS = float(os.environ.get("ISSUELAKE_CHAOS_SECONDS", "60"))
SEED = int(os.environ.get("ISSUELAKE_CHAOS_SEED", "20250301"))
WRITERS = 8
KILLS = 20
READERS = 3


class Crowd:
    """Processes by role; one that ends, or is made to, is started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.roles = [f"writer-{n}" for n in range(WRITERS)] + ["compactor"]
        self.roles += [f"reader-{n}" for n in range(READERS)]
        self.processes = {role: self._start(role) for role in self.roles}
        self.failures: list[str] = []

    def _start(self, role: str) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{role}.err", "ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.lake.crowd", role, str(self.folder)], stderr=errors
            )

    def kill(self, role: str) -> None:
        process = self.processes[role]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        self.processes[role] = self._start(role)

    def look(self) -> None:
        """Nobody ends by itself."""
        for role, process in self.processes.items():
            if process.poll() is not None:
                self.failures.append(f"{role} ended with {process.returncode}")
                self.processes[role] = self._start(role)

    def stop(self) -> None:
        (self.folder / crowd.STOP).touch()
        deadline = time.monotonic() + 60
        for role, process in self.processes.items():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                self.failures.append(f"{role} did not stop")
            if process.returncode:
                self.failures.append(f"{role} ended with {process.returncode}")


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 240)
def test_no_acknowledged_run_is_lost_or_counted_twice(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    moments = sorted(chance.uniform(3, max(4, SECONDS - 2)) for _ in range(KILLS))
    # The readers are spared: were one killed, the read that it would have failed goes unnoticed.
    victims = [chance.choice([*(f"writer-{n}" for n in range(WRITERS)), "compactor"]) for _ in moments]
    started = time.monotonic()
    crowd_of = Crowd(tmp_path)
    for moment, victim in zip(moments, victims, strict=True):
        while time.monotonic() - started < moment:
            time.sleep(0.02)
            crowd_of.look()
        crowd_of.kill(victim)
    while time.monotonic() - started < SECONDS:
        time.sleep(0.1)
        crowd_of.look()
    crowd_of.stop()
    errors = "".join((tmp_path / f"{role}.err").read_text() for role in crowd_of.roles)
    assert not crowd_of.failures, f"{crowd_of.failures}\n{errors[-4000:]}"
    assert not errors, errors[-4000:]

    acknowledged, attempted = said(tmp_path)
    lake = Lake(LocalFiles(tmp_path / "lake"))
    seen = read(lake)
    verify(seen, acknowledged, attempted)
    for first, last in ((crowd.DAYS[0], crowd.DAYS[0]), (crowd.DAYS[1], crowd.DAYS[-1])):
        assert read(lake, first, last) == within(seen, first, last)
    lake.maintain(timedelta(hours=1))
    assert read(lake) == seen
    for day in crowd.DAYS:
        assert read(lake, day, day) == within(seen, day, day)
    lake.maintain(NOW)
    assert read(lake) == seen
    reads = [line for log in tmp_path.glob("reader-*.log") for line in log.read_text().splitlines()]
    assert len(reads) >= READERS * (1 + len(crowd.DAYS))
    print(
        f"\nchaos: {SECONDS:.0f} s, seed {SEED}: {KILLS} kills of {WRITERS} writers and a compactor; "
        f"{len(seen)} runs, {sum(len(versions) for versions in attempted.values())} versions of them, all "
        f"{len(acknowledged)} acknowledged ones there once; {len(reads)} reads, none failed or torn"
    )


def said(folder: Path) -> tuple[dict[str, int], dict[str, list[tuple[int, str]]]]:
    """By run: the last version that was acknowledged; every version that was tried, and its day."""
    acknowledged: dict[str, int] = {}
    attempted: dict[str, list[tuple[int, str]]] = {}
    for log in folder.glob("writer-*.log"):
        for line in log.read_text().splitlines():
            word = json.loads(line)
            for run_id, version, day in word["runs"]:
                if word["said"] == "done":
                    acknowledged[run_id] = version
                else:
                    attempted.setdefault(run_id, []).append((version, day))
    return acknowledged, attempted


def verify(seen: State, acknowledged: dict[str, int], attempted: dict[str, list[tuple[int, str]]]) -> None:
    lost = acknowledged.keys() - seen.keys()
    assert not lost, f"{len(lost)} acknowledged runs are lost: {sorted(lost)[:5]}"
    assert seen.keys() <= attempted.keys()
    for run_id, run in seen.items():
        assert run.version >= acknowledged.get(run_id, 0), f"{run_id} went back to {run.version}"
        tried = [stored(run_id, crowd.day_of(day), version) for version, day in attempted[run_id]]
        assert run in tried, f"{run_id} is none of the versions that were stored"
