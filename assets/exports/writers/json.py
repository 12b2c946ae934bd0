"""JSON: one array of issues."""

from __future__ import annotations

from pathlib import Path

from assets.exports.selection import Selection


def write(selection: Selection, path: Path) -> int:
    return selection.copy_json(path, "ARRAY true")
