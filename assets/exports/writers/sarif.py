"""SARIF 2.1.0: one SARIF run for each run, so that an import gives the same runs again.

What SARIF has no place for stands under `properties`: of a run its id, plugin and timestamp, of a
result the issue's own fields, where `severity` also tells critical from high (both are `error`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import msgspec

from assets.exports.selection import Selection
from resources.fingerprint import RECIPE_VERSION, rule_of
from resources.schema import SEVERITIES

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = dict(zip(SEVERITIES, ("error", "error", "warning", "note"), strict=True))
SECURITY_SEVERITIES = dict(zip(SEVERITIES, ("9.5", "8.0", "5.5", "2.0"), strict=True))
"""In the middle of the bands of CVSS, which code scanning services go by."""

_RUN_PROPERTIES = ("validation_run_id", "target_plugin", "timestamp")
_RESULT_PROPERTIES = (
    "issue_index",
    "severity",
    "category",
    "file_path",
    "recommendation",
    "fingerprint",
    "details",
    "extra",
)
_REGION = {
    "line": "startLine",
    "column": "startColumn",
    "end_line": "endLine",
    "end_column": "endColumn",
}
"""Keys of `details` that say where, and what they are called here."""

_NO_RULE = "issue"
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://(?:[A-Za-z0-9._~/:@!$&'()*+,;=?#-]|%[0-9A-Fa-f]{2})+")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def write(selection: Selection, path: Path) -> int:
    with open(path, "wb") as file:
        return write_log(file, selection.run_by_run().documents())


def write_log(file: BinaryIO, documents: Iterable[dict[str, Any]]) -> int:
    """Write issues, those of each run together, as one log; how many there are."""
    count = 0
    file.write(f'{{"$schema":"{SCHEMA}","version":"2.1.0","runs":['.encode())
    for number, (_, issues) in enumerate(groupby(documents, lambda i: i["validation_run_id"])):
        file.write(b",\n" if number else b"\n")
        count += _write_run(file, issues)
    file.write(b"\n]}\n")
    return count


def _write_run(file: BinaryIO, issues: Iterator[dict[str, Any]]) -> int:
    """Write the results of a run as they come, then what was learned from all of them."""
    rules: dict[str, dict[str, Any]] = {}
    properties: dict[str, Any] = {}
    count = 0
    file.write(b'{"results":[')
    for count, issue in enumerate(issues, 1):
        file.write(b",\n" if count > 1 else b"\n")
        file.write(msgspec.json.encode(_result(issue, rules)))
        properties = {name: issue[name] for name in _RUN_PROPERTIES}
    listed = [_rule(rule_id, rule) for rule_id, rule in rules.items()]
    plugin = properties["target_plugin"]
    described = {
        "tool": {"driver": {"name": plugin, "rules": listed}},
        "automationDetails": _automation(plugin, properties["validation_run_id"]),
        "invocations": [{"executionSuccessful": True, "endTimeUtc": properties["timestamp"]}],
        "columnKind": "unicodeCodePoints",
        "properties": properties,
    }
    file.write(b"\n]," + msgspec.json.encode(described)[1:])
    return count


def _automation(plugin: str, run_id: str) -> dict[str, str]:
    """What names the run; SARIF takes an id of its own only where it is a UUID."""
    named = {"id": f"{plugin}/{run_id}"}
    return named | {"guid": run_id} if _GUID.fullmatch(run_id) else named


def _result(issue: dict[str, Any], rules: dict[str, dict[str, Any]]) -> dict[str, Any]:
    severity, details = issue["severity"], issue["details"] or {}
    rule_id = rule_of(details) or issue["category"] or _NO_RULE
    rule = rules.setdefault(rule_id, {"index": len(rules), "severity": severity, "of": issue["category"]})
    rule["severity"] = min(rule["severity"], severity, key=SEVERITIES.index)
    return {
        "ruleId": rule_id,
        "ruleIndex": rule["index"],
        "level": LEVELS[severity],
        "message": {"text": issue["description"]},
        "locations": _locations(issue["file_path"], details),
        "partialFingerprints": {f"issuelake/v{RECIPE_VERSION}": issue["fingerprint"]},
        "properties": {
            **{name: issue[name] for name in _RESULT_PROPERTIES if issue[name] is not None},
            "security-severity": SECURITY_SEVERITIES[severity],
        },
    }


def _rule(rule_id: str, rule: dict[str, Any]) -> dict[str, Any]:
    tags = {"tags": [rule["of"]]} if rule["of"] else {}
    return {
        "id": rule_id,
        "defaultConfiguration": {"level": LEVELS[rule["severity"]]},
        "properties": {"security-severity": SECURITY_SEVERITIES[rule["severity"]], **tags},
    }


def _locations(path: str | None, details: dict[str, Any]) -> list[dict[str, Any]]:
    if not path:
        return []
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(path)}}
    region = {name: details[key] for key, name in _REGION.items() if _position(details.get(key))}
    if "startLine" in region:
        place["region"] = region
    return [{"physicalLocation": place}]


def _position(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _uri(path: str) -> str:
    """`path` as a URI reference; the path as it was stands under `properties`."""
    if _URL.fullmatch(path):
        return path
    drive = _DRIVE.match(path)
    if drive or ("\\" in path and "/" not in path):
        path = path.replace("\\", "/")
    quoted = quote(path, safe="/:" if drive else "/")
    if drive or quoted.startswith("/"):
        return f"file:///{quoted.lstrip('/')}"
    return quoted
