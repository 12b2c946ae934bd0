"""`python -m benchmarks`: measure every promise about speed, or some of them."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from importlib import import_module

from benchmarks import results
from benchmarks.generate import DATA
from benchmarks.measure import Row, Setup

PARTS = (
    "ingest_small",
    "ingest_big",
    "sarif",
    "memory",
    "read",
    "problems",
    "startup",
    "s3_latency",
    "backends",
    "sizes",
    "export",
    "steps",
    "selection",
    "report",
)
"""The modules of this package that each answer one question, in the order of the page."""

LARGE = ("scale",)
"""Those that take so long that they run only when they are asked for."""


def main() -> None:
    asked = _arguments()
    if asked.clean:
        shutil.rmtree(DATA, ignore_errors=True)
    setup = Setup(rounds=asked.rounds, quick=asked.quick)
    measured: dict[str, tuple[str, list[Row]]] = {}
    for name in asked.only or PARTS:
        part = import_module(f"benchmarks.{name}")
        rows = part.run(setup)
        measured[name] = part.TITLE, rows
        results.show(part.TITLE + (" (quick: less of it)" if asked.quick else ""), rows)
        if not asked.quick and (asked.write or not asked.only):
            command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
            results.keep(measured, setup.rounds, command)
            results.write_page([*PARTS, *LARGE])
    missed = [
        f"{name}: {row.what}" for name, (_, rows) in measured.items() for row in rows if row.met is False
    ]
    print(f"{len(missed)} targets missed" + (": " + "; ".join(missed) if missed else ""))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=[*PARTS, *LARGE], help="this part; may be given several times"
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender runs (5)")
    parser.add_argument("--quick", action="store_true", help="little data: shows that all works, no figures")
    parser.add_argument("--write", action="store_true", help="with --only: update its rows in RESULTS.md")
    parser.add_argument("--clean", action="store_true", help="make the data anew")
    asked = parser.parse_args()
    if asked.rounds < 1:
        parser.error("--rounds must be at least 1")
    if asked.quick and asked.write:
        parser.error("--quick figures are not worth writing down")
    return asked


if __name__ == "__main__":
    main()
