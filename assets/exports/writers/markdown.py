"""Markdown: a summary and one table (GitHub's kind), in which nothing from outside is markup."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from assets.exports.escaping import visible
from assets.exports.selection import COLUMNS, JSON_COLUMNS, Selection
from resources.schema import SEVERITIES

_SPECIAL = re.compile(r"[\\`*_\[\]|~$@]|:(?=//)|(?<=www)\.")
"""What is markup within a line, and what makes links of bare addresses."""

_ENTITIES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}
_BREAKS = re.compile(r"\s*[\r\n\x85\u2028\u2029]+\s*")


def write(selection: Selection, path: Path) -> int:
    counts = selection.counts()
    count = 0
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write("# Issues\n\n")
        file.write(head(["plugin", *SEVERITIES]))
        for plugin in sorted({plugin for plugin, _ in counts}):
            file.write(line([plugin, *(counts.get((plugin, s), 0) for s in SEVERITIES)]))
        file.write(f"\n{head(COLUMNS)}")
        for issue in selection.documents():
            file.write(_row(issue))
            count += 1
    return count


def head(names: Iterable[str]) -> str:
    """The first two lines of a table."""
    names = list(names)
    return line(names) + f"|{' --- |' * len(names)}\n"


def _row(issue: dict[str, Any]) -> str:
    encoded = {
        name: msgspec.json.encode(issue[name]).decode() for name in JSON_COLUMNS if issue[name] is not None
    }
    return line((issue | encoded).values())


def line(cells: Iterable[Any]) -> str:
    """A line of a table."""
    return f"| {' | '.join(map(cell, cells))} |\n"


def cell(value: Any) -> str:
    """A value as one line of text: breaks are spaces."""
    if value is None:
        return ""
    text = _BREAKS.sub(" ", visible(str(value))).replace("\t", " ").strip()
    return _SPECIAL.sub(r"\\\g<0>", text.translate(_ENTITIES))
