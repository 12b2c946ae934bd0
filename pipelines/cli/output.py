"""What commands print: tables for people, JSON for programs, nothing hostile to a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from resources.schema import SEVERITIES, SEVERITY_COUNTS

STYLES = dict(zip(SEVERITIES, ("bold white on red", "red", "yellow", "cyan"), strict=True))
TITLES = dict(zip(SEVERITY_COUNTS, (s.capitalize() for s in SEVERITIES), strict=True))

Heading = str | tuple[str, dict[str, Any]]
"""A column's title, and how rich lays it out."""

RIGHT: dict[str, Any] = {"justify": "right"}
ONE_LINE: dict[str, Any] = {"no_wrap": True}

_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)), "�") | {
    ord("\n"): " ",
    ord("\t"): " ",
    0x202E: "\N{REPLACEMENT CHARACTER}",  # would turn the rest of the line around
    0x2066: "\N{REPLACEMENT CHARACTER}",
    0x2067: "\N{REPLACEMENT CHARACTER}",
}


def console() -> Console:
    """Standard output; colour only where it is a terminal."""
    return Console(highlight=False, soft_wrap=False)


def print_json(document: Any) -> None:
    """One JSON document, indented on a terminal."""
    encoded = msgspec.json.encode(document)
    if sys.stdout.isatty():
        encoded = msgspec.json.format(encoded, indent=2)
    sys.stdout.buffer.write(encoded + b"\n")
    sys.stdout.flush()


def safe(value: Any) -> str:
    """A value as one line without control characters; what came from outside may hold any."""
    return "" if value is None else str(value).translate(_CONTROLS)


def severity(name: str) -> Text:
    return Text(name, STYLES.get(name, ""))


def table(title: str, columns: Sequence[Heading], rows: Iterable[Sequence[Any]]) -> Table:
    """A table; cells that are not `Text` are made safe."""
    grid = Table(
        title=Text(safe(title)),
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=None,
        pad_edge=False,
    )
    for column in columns:
        name, options = column if isinstance(column, tuple) else (column, {})
        grid.add_column(name, **options)
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(safe(cell)) for cell in row))
    return grid


def issue_table(title: str, issues: Sequence[dict[str, Any]], with_run: bool = True) -> Table:
    """Issues, one a line."""
    columns: list[Heading] = [
        ("Severity", ONE_LINE),
        ("Category", ONE_LINE),
        ("File", {"overflow": "ellipsis", "no_wrap": True, "max_width": 40}),
        ("Description", {"overflow": "fold"}),
    ]
    if with_run:
        columns.insert(0, ("Plugin", ONE_LINE))
        columns.insert(0, ("Day", ONE_LINE))
    rows = []
    for issue in issues:
        row = [
            severity(issue["severity"]),
            issue.get("category"),
            _place(issue),
            issue["description"],
        ]
        rows.append([issue["timestamp"][:10], issue["target_plugin"], *row] if with_run else row)
    return table(title, columns, rows)


def _place(issue: dict[str, Any]) -> str:
    """The file, and the line where the details give one."""
    line = (issue.get("details") or {}).get("line")
    path = issue.get("file_path") or ""
    return f"{path}:{line}" if path and isinstance(line, int) else path


def counts_line(counts: dict[str, Any]) -> Text:
    """`3 critical  1 high  …`, each in its colour."""
    parts = [
        Text(f"{counts[c]} {name}", STYLES[name]) for c, name in zip(SEVERITY_COUNTS, SEVERITIES, strict=True)
    ]
    return Text("  ").join(parts)
