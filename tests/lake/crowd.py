"""Run as a program: one of the many at work in `test_chaos`.

`crowd writer-N FOLDER`, `crowd compactor FOLDER` or `crowd reader-N FOLDER`, until FOLDER/stop is there.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from resources.files import LocalFiles
from resources.lake import Lake
from tests.lake.state import append, document, read

STOP = "stop"
GRACE = timedelta(seconds=2)
DAYS = [date(2025, 3, 1) + timedelta(days=n) for n in range(4)]


def day_of(text: str) -> date:
    return date.fromisoformat(text)


def say(log: Path, word: dict[str, Any]) -> None:
    """Append one line to `log`, durably; a line that a kill has cut off is not one."""
    line = json.dumps(word).encode() + b"\n"
    if log.exists() and not log.read_bytes().endswith(b"\n"):
        kept = log.read_bytes()
        log.write_bytes(kept[: kept.rfind(b"\n") + 1])
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(handle, line)
        os.fsync(handle)
    finally:
        os.close(handle)


def write(name: str, folder: Path) -> None:
    """Store runs of its own, some of them again with another content and day, and say so."""
    lake = Lake(LocalFiles(folder / "lake"))
    log = folder / f"{name}.log"
    chance = random.Random(f"{name}{os.getpid()}")
    versions: dict[str, int] = {}
    lines = log.read_text().splitlines() if log.exists() else []
    for word in (json.loads(line) for line in lines if line.endswith("}")):
        versions |= {run_id: version for run_id, version, _ in word["runs"]}
    while not (folder / STOP).exists():
        fresh = [f"{name}-{len(versions) + n}" for n in range(chance.randint(1, 4))]
        again = chance.sample(sorted(versions), min(len(versions), chance.randint(0, 2)))
        runs = [(i, versions.get(i, 0) + 1, chance.choice(DAYS)) for i in fresh + again]
        words = [(run_id, version, day.isoformat()) for run_id, version, day in runs]
        say(log, {"said": "trying", "runs": words})
        # A version is the score, which is at most 100; few runs are stored that often.
        append(lake, [document(run_id, day, version) for run_id, version, day in runs])
        say(log, {"said": "done", "runs": words})
        versions |= {run_id: version for run_id, version, _ in runs}
        time.sleep(chance.uniform(0, 0.1))


def compact(folder: Path) -> None:
    lake = Lake(LocalFiles(folder / "lake"))
    while not (folder / STOP).exists():
        lake.maintain(GRACE)
        time.sleep(0.2)


def keep_reading(name: str, folder: Path) -> None:
    """Read in full and by the day; a run that has been seen never goes, nor goes back."""
    log = folder / f"{name}.log"
    lake = Lake(LocalFiles(folder / "lake"))
    before: dict[str, int] = {}
    while not (folder / STOP).exists():
        seen = {run_id: run.version for run_id, run in read(lake).items()}
        for run_id, version in before.items():
            assert seen.get(run_id, -1) >= version, f"{run_id} was there in version {version}"
        before = seen
        say(log, {"runs": len(seen)})
        for day in DAYS:
            say(log, {"day": day.isoformat(), "runs": len(read(lake, day, day))})


def main(role: str, folder: Path) -> None:
    if role == "compactor":
        compact(folder)
    elif role.startswith("reader"):
        keep_reading(role, folder)
    else:
        write(role, folder)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
