"""From nothing to an answer: commands as fresh processes, in a lake of 20,000 runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import generate
from benchmarks.measure import COMMAND, Row, Setup, at_most, command_output, interleaved, process, scratch

TITLE = "Starting: commands as fresh processes, 20,000 runs in the lake"

LIMIT = 0.7
UNWANTED = ("dagster", "polars")


def run(setup: Setup) -> list[Row]:
    inbox = generate.small_files(setup.scale(20_000, 1_000))
    with scratch() as folder:
        lake = str(folder / "lake")
        command_output(COMMAND, "ingest", str(inbox), "--storage", lake)
        single = folder / "single"
        single.mkdir()
        fresh = iter(generate.runs(setup.rounds + 1, 1, generate.SMALL_ISSUES, seed=3))

        def one_more() -> Path:
            file = single / "run.json"
            file.write_bytes(next(fresh)[1])
            return file

        def store() -> float:
            return process(COMMAND, "ingest", str(one_more()), "--storage", lake)

        reading: dict[str, Callable[[], float]] = {
            name: partial(process, COMMAND, name, "--storage", lake) for name in ("latest", "summary")
        }
        samples = interleaved({**reading, "store one run": store, "python -c pass": _nothing}, setup.rounds)
        rows = [at_most(name, samples[name], LIMIT) for name in (*reading, "store one run")]
        rows.append(at_most("for comparison: Python itself", samples["python -c pass"]))
        paths = [["latest"], ["summary"], ["ingest", str(one_more())]]
        imported = {name for path in paths for name in _imported([*path, "--storage", lake])}
    names = ", ".join(sorted(imported)) or "neither"
    rows.append(Row(f"imported on the way: {' or '.join(UNWANTED)}", names, "", "", "neither", not imported))
    return rows


def _nothing() -> float:
    return process(sys.executable, "-c", "pass")


def _imported(arguments: list[str]) -> set[str]:
    """Which of the unwanted modules the command imports."""
    command = [sys.executable, "-X", "importtime", COMMAND, *arguments]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    modules = {line.rpartition("|")[2].strip() for line in report.splitlines()}
    return modules.intersection(UNWANTED)
