"""PDF: a report made by typst. What comes from outside reaches it as data, never as markup."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import typst

from assets.exports.escaping import visible
from assets.exports.selection import Selection
from resources.errors import StorageError
from resources.schema import SEVERITIES

_SHOWN = ("severity", "target_plugin", "category", "file_path", "description", "recommendation")


def write(selection: Selection, path: Path) -> int:
    issues = list(map(_shown, selection.documents()))
    data = {
        "severities": SEVERITIES,
        "counts": [
            {"plugin": visible(plugin), "severity": severity, "issues": count}
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


def _shown(issue: dict[str, Any]) -> dict[str, Any]:
    shown = {name: visible(issue[name] or "") for name in _SHOWN}
    details = issue["details"] or {}
    return {
        **shown,
        "run": visible(issue["validation_run_id"]),
        "moment": issue["timestamp"],
        "line": details["line"] if isinstance(details.get("line"), int) else None,
        "details": visible(msgspec.json.encode(details).decode()) if details else "",
    }
