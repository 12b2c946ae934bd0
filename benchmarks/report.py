"""The report: 1,000 runs with a million issues, as a page and as a PDF."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import partial
from pathlib import Path

from benchmarks import generate, lakes
from benchmarks.measure import COMMAND, Row, Setup, at_most, interleaved, process, scratch
from resources.config import open_storage

TITLE = "The report: 1,000 runs with a million issues"

ISSUES_A_RUN = (950, 1050)
PLUGINS = 50
"""As many as make 50,000 problems that are open at the end."""
SPAN = timedelta(days=60)
LARGEST = 5_000_000
"""Bytes."""


def run(setup: Setup) -> list[Row]:
    folder = _lake(setup.scale(1_000, 100))
    with scratch() as out:
        page, paper = out / "report.html", out / "report.pdf"
        samples = interleaved(
            {"page": partial(_report, folder, page), "paper": partial(_report, folder, paper)}, setup.rounds
        )
        rows = [
            at_most("as a page, the whole process", samples["page"], 10.0),
            at_most("as a PDF, the whole process", samples["paper"], 10.0),
        ]
        for what, path in (("the page", page), ("the PDF", paper)):
            size = os.path.getsize(path)
            rows.append(
                Row(what, f"{size / 1e6:.2f} MB", target=f"≤ {LARGEST / 1e6:g} MB", met=size <= LARGEST)
            )
    rows[2].note = "with all of its 50,000 open problems, and 0.9 MB of Vega"
    return rows


def _report(folder: Path, path: Path) -> float:
    return process(COMMAND, "report", "--to", str(path), "--storage", str(folder))


def _lake(runs: int) -> Path:
    def make(folder: Path) -> None:
        made = lakes.chunk(generate.runs(runs, PLUGINS, ISSUES_A_RUN, SPAN))
        open_storage(str(folder)).backend.append(made.runs, made.issues)

    return generate.kept(f"lake-report-{runs}", make)
