"""Parquet: what every engine reads, so no dictionary, view or large types, and severity a string."""

from __future__ import annotations

from pathlib import Path

from assets.exports.selection import Selection


def write(selection: Selection, path: Path) -> int:
    return selection.copy_parquet(path)
