"""A lake whose texts are out to do harm, whatever they are written into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assets import answers, kernel
from assets.query import Query
from resources.config import Storage, open_storage
from resources.contract import Delivery

HOSTILE = [
    '=HYPERLINK("http://evil.example","click")',
    "+1+1",
    "-2+3",
    "@SUM(A1:A9)",
    "\t=1",
    "\r=1",
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "a | b\nc `d` *e* _f_ [g](http://h.example) ~~i~~ $x$ & &lt; \\",
    '#panic() $x$ @ref <label> [#eval("1+1")]',
    "!!python/object/apply:os.system ['true']",
    'say "hi", it\'s; 100%',
    "yes",
    "null",
    "007",
    "1e5",
    "2025-01-01",
    "",
    "  spaces  ",
    "line\r\nbreak",
    "bell \x07 null \x00 del \x7f nel \x85 ls \u2028 bom \ufeff end \uffff",
    "right \u202e to left",
    "Ünïcödé 漢字 🙈",
    "&#60;b&#62; </td></table></html>",
    "_x0041_ =1",
]
SEVERITIES = ("low", "critical", "medium", "high")


def run_documents() -> list[dict[str, Any]]:
    """Three runs of two plugins on two days."""
    first = [
        {
            "severity": SEVERITIES[n % 4],
            "description": text,
            "category": text or None,
            "file_path": f"src/{text}",
            "recommendation": text,
            "details": {"rule": text, "line": n + 1, "nested": {"text": text, "list": [1, 2.5, None, True]}},
            "owner": {"team": text},
        }
        for n, text in enumerate(HOSTILE)
    ]
    for issue in first:
        issue.update({key: None for key, value in issue.items() if value is None})
    plain = [
        {"severity": "high", "description": "eval is used", "file_path": "src/pay.py"},
        {"severity": "low", "description": "too long", "details": {"big": 123456789012345678901234567890}},
    ]
    return [
        {
            "validation_run_id": "=run-1",
            "timestamp": "2025-08-28T10:00:00.25+02:00",
            "target_plugin": "@billing",
            "issues_list": [{k: v for k, v in issue.items() if v is not None} for issue in first],
        },
        {
            "validation_run_id": "run-2",
            "timestamp": "2025-08-29T10:00:00Z",
            "target_plugin": "shop",
            "issues_list": plain,
        },
        {
            "validation_run_id": "run-3",
            "timestamp": "2025-08-29T10:00:00Z",
            "target_plugin": "shop",
            "issues_list": plain,
        },
    ]


def filled(folder: Path, documents: list[dict[str, Any]]) -> Storage:
    """A lake at `folder` with the runs in it."""
    storage = open_storage(str(folder))
    chunk = kernel.build([Delivery("test.json", json.dumps(d).encode()) for d in documents])
    assert not chunk.rejections, [r.reason for r in chunk.rejections]
    storage.backend.append(chunk.runs, chunk.issues)
    return storage


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    return filled(tmp_path_factory.mktemp("exports") / "lake", run_documents())


@pytest.fixture(scope="session")
def issues(storage: Storage) -> list[dict[str, Any]]:
    """What the lake answers: what every export must hold, in this order."""
    found: list[dict[str, Any]] = answers.issues(storage, Query(limit=1000))["issues_data"]["issues"]
    assert len(found) == len(HOSTILE) + 4
    return found
