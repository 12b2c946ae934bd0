"""PDF: a report made by typst. What comes from outside reaches it as data, never as markup."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import typst

from assets.exports.escaping import visible
from assets.exports.selection import Selection
from resources.errors import StorageError
from resources.schema import SEVERITIES

_BREAK = "\u200b"  # has no width
_PUNCTUATION = re.compile(r"[/\\._:;,=&?-]")
_UNBROKEN = re.compile(rf"[^\s{_BREAK}]{{24}}")
_SHOWN = ("severity", "target_plugin", "category", "description", "recommendation")


def write(selection: Selection, path: Path) -> int:
    issues = list(map(_shown, selection.documents()))
    data = {
        "severities": SEVERITIES,
        "counts": [
            {"plugin": breakable(plugin), "severity": severity, "issues": count}
            for (plugin, severity), count in selection.counts().items()
        ],
        "issues": issues,
    }
    template = files("assets.exports").joinpath("report.typ").read_bytes()
    try:
        content = typst.compile(template, sys_inputs={"data": msgspec.json.encode(data).decode()})
    except typst.TypstError as error:
        raise StorageError(f"The PDF could not be made: {error}.") from error
    path.write_bytes(content)
    return len(issues)


def _shown(issue: dict[str, Any]) -> dict[str, str]:
    details = issue["details"] or {}
    line = f":{details['line']}" if isinstance(details.get("line"), int) else ""
    return {
        **{name: breakable(issue[name] or "") for name in _SHOWN},
        "place": breakable(f"{issue['file_path']}{line}") if issue["file_path"] else "",
        "run": breakable(issue["validation_run_id"]),
        "moment": issue["timestamp"],
        "details": breakable(msgspec.json.encode(details).decode()) if details else "",
    }


def breakable(text: str) -> str:
    """`text` with places to break a line: after punctuation, and in words that go on without any."""
    return _UNBROKEN.sub(f"\\g<0>{_BREAK}", _PUNCTUATION.sub(f"\\g<0>{_BREAK}", visible(text)))
