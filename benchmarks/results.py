"""What was measured, kept in `results.json` and shown in `RESULTS.md`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Row

RAW = Path(__file__).with_name("results.json")
PAGE = Path(__file__).with_name("RESULTS.md")

HEADINGS = ("what", "issuelake", "peer", "ratio (least–most)", "target", "met")
_PACKAGES = ("duckdb", "pyarrow", "polars", "msgspec", "dlt", "s3fs")

_INTRODUCTION = """\
# How fast it is

Made by `make bench`; the single measurements stand in `results.json`. Times and ratios are medians,
a ratio is of two measurements from the same round, and its least and greatest stand in brackets.
What runs against what, and how, is in the modules of this folder, one a section.
"""


def show(title: str, rows: Sequence[Row]) -> None:
    """Print the rows of one part."""
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in HEADINGS:
        grid.add_column(heading, overflow="fold")
    for row in rows:
        grid.add_row(*_cells(row))
    Console(highlight=False).print(grid, markup=False)


def keep(parts: Mapping[str, tuple[str, Sequence[Row]]], rounds: int, command: str) -> None:
    """Put the rows of `parts` (title and rows by name) in the place of what was kept of them."""
    kept: dict[str, Any] = json.loads(RAW.read_text("utf-8")) if RAW.exists() else {}
    circumstances = {
        "measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": command,
        "rounds": rounds,
        "machine": machine(),
    }
    for name, (title, rows) in parts.items():
        kept[name] = {"title": title, **circumstances, "rows": [asdict(row) for row in rows]}
    RAW.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


def write_page(order: Sequence[str]) -> None:
    """Make `RESULTS.md` from what is kept, in the order of the parts' names."""
    kept = json.loads(RAW.read_text("utf-8"))
    sections = [_section(kept[name]) for name in order if name in kept]
    PAGE.write_text("\n".join([_INTRODUCTION, *sections]), "utf-8")


def machine() -> str:
    """The machine and the versions, in one line."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    # The peers are installed by `make bench` alone.
    installed = {distribution.name.lower() for distribution in distributions()}
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES if name in installed)
    return (
        f"{os.cpu_count()} cores ({_processor()}), {gibibytes:.0f} GiB, {platform.system()},"
        f" Python {platform.python_version()}, {packages}"
    )


def _section(part: dict[str, Any]) -> str:
    lines = [f"## {part['title']}", "", f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    for row in part["rows"]:
        cells = [cell.replace("|", "\\|") for cell in _cells(Row(**row))]
        lines.append(f"| {' | '.join(cells)} |")
    notes = [f"- {row['what']}: {row['note']}" for row in part["rows"] if row["note"]]
    lines += ["", *notes, *([""] if notes else [])]
    lines += [f"{part['measured']}, {part['rounds']} rounds, `{part['command']}`: {part['machine']}.", ""]
    return "\n".join(lines)


def _cells(row: Row) -> list[str]:
    met = "" if row.met is None else "yes" if row.met else "**no**"
    return [row.what, row.ours, row.peer, row.ratio, row.target, met]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
