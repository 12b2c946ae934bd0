"""The manifest of a report: what it was made of, so that anyone can check it or make it again.

It stands in the page, and with more about the file beside it. It says nothing of when it was made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import msgspec

from assets.days import versions_of_all
from assets.problems import triage
from assets.records import identity
from assets.report.model import Figures
from assets.retention import outlines
from resources.backend import Backend
from resources.fingerprint import RECIPE_VERSION

_MADE_WITH = ("altair", "vl-convert-python", "jinja2")
_RECIPES = {
    "assets": ("daily_summary", "trend_lives", "trend_periods", "trend_received"),
    "assets.problems": ("lives_since", "problems", "scopes"),
    "assets.report": ("ages", "open_problems", "rows", "standing", "top"),
}
"""The SQL that the figures come from, by package."""


def describe(lake: Backend, figures: Figures) -> dict[str, Any]:
    """What goes into the page. Raises `StorageError`."""
    asked = figures.asked
    days = versions_of_all(lake, [day for day in outlines.days(lake) if day <= asked.as_of.date()])
    decisions = [identity(d) for d in triage.made(lake.files) if d.decided_at <= asked.as_of]
    return {
        "issuelake_version": version("issuelake"),
        "selection": {
            "from": asked.first,
            "to": asked.last,
            "as_of": asked.as_of,
            "plugin": asked.plugin,
            "sla_days": dict(asked.sla),
            "compared_with": asked.before,
            "drawn_from": asked.drawn_from,
        },
        "lake": {
            "days": [(day.day, day.version, day.runs, day.issues) for day in days],
            "runs": sum(day.runs for day in days),
            "issues": sum(day.issues for day in days),
            "decisions": len(decisions),
            "decisions_hash": _hash(sorted(decisions)),
        },
        "recipes": {
            "fingerprint": RECIPE_VERSION,
            "sql": {
                f"{package}.{name}": _hash([(files(package) / "sql" / f"{name}.sql").read_text("utf-8")])
                for package, names in _RECIPES.items()
                for name in names
            },
        },
        "made_with": {name: version(name) for name in _MADE_WITH},
        "counts": {
            "flow": asdict(figures.flow),
            "flow_before": asdict(figures.flow_before),
            "open": {row.severity: row.open for row in figures.standing},
            "rows": figures.rows.num_rows,
        },
    }


def encode(document: dict[str, Any]) -> bytes:
    """As indented JSON, in UTF-8."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _hash(parts: Iterable[str]) -> str:
    """32 hex digits."""
    content = hashlib.sha256()
    for part in parts:
        content.update(f"{len(part)}:{part}".encode())
    return content.hexdigest()[:32]
