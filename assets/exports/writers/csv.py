"""CSV: a head line, then an issue a line; moments in RFC 3339, always with microseconds."""

from __future__ import annotations

from pathlib import Path

from assets.exports.formulas import inert
from assets.exports.selection import Selection

_MOMENT = "%Y-%m-%dT%H:%M:%S%.6fZ"


def write(selection: Selection, path: Path, mark: bytes = b"") -> int:
    """Write the rows to `path`, after `mark`, if a reader wants one."""
    count = 0
    with open(path, "wb") as file:
        file.write(mark)
        for number, frame in enumerate(selection.frames()):
            inert(frame).write_csv(file, include_header=number == 0, datetime_format=_MOMENT)
            count += frame.height
    return count
