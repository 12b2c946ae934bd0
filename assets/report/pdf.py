"""The report as a PDF, by typst: the figures and the charts of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from math import ceil, floor
from typing import Any

import msgspec
import typst

from assets.exports.writers.pdf import breakable
from assets.report import headline
from assets.report import manifest as manifests
from assets.report.charts import draw
from assets.report.drawing import Drawn
from assets.report.model import SOON, Figures, Named
from resources.errors import StorageError
from resources.schema import SEVERITIES

MOST_ROWS = 200
"""So many open problems are listed, the worst of them: who wants all of them takes the page."""

COLOURS: Mapping[str, str] = {
    "critical": "#8f1446",
    "high": "#d9542b",
    "medium": "#e8ac3a",
    "low": "#8aa9c4",
    "new": "#d9542b",
    "reopened": "#e8ac3a",
    "fixed": "#2a8c82",
    "score": "#1f5fbf",
    "span": "#edf2f9",
    "ink": "#16191f",
    "soft": "#59616e",
    "line": "#e1e4ea",
    "heat-0": "#eceef2",
    "heat-1": "#cfe0f2",
    "heat-2": "#9cc0e4",
    "heat-3": "#5f97cd",
    "heat-4": "#2f6bab",
    "heat-5": "#123f75",
    "font": "Libertinus Serif",
}
"""Those of the page when it is light."""

_LAYOUT = ((("severity", 700),), (("flow", 340), ("score", 340)), (("ages", 300), ("map", 380)))
"""The charts side by side, and how wide each is drawn, in points before it is fitted in."""


def render(figures: Figures, manifest: dict[str, Any]) -> bytes:
    """The PDF, with the manifest attached. Raises `StorageError` where typst cannot make it."""
    drawn = {chart.name: chart for chart in draw(figures, COLOURS)}
    asked = figures.asked
    data = {
        "manifest": manifests.encode(manifest).decode(),
        "title": breakable(asked.plugin) if asked.plugin else "All plugins",
        "span": headline.span_text(asked.first, asked.last),
        "before": headline.span_text(*asked.before),
        "as_of": asked.as_of.strftime("%Y-%m-%d %H:%M"),
        "colours": {name: value for name, value in COLOURS.items() if name != "font"},
        "cards": [{**asdict(card), "drill": None} for card in headline.cards(figures)],
        "charts": [[_chart(drawn[name], width) for name, width in row] for row in _LAYOUT],
        "tops": [
            {"title": top.title, "rows": [_named(row, top.rows[0].open) for row in top.rows]}
            for top in figures.tops
        ],
        "soon": f"Due within {SOON} days",
        "sla": [
            [
                row.severity,
                *(
                    f"{n:,}"
                    for n in (asked.sla[row.severity], row.open, row.triaged, row.breached, row.due_soon)
                ),
                "–" if row.oldest_days is None else f"{row.oldest_days:,.0f}",
            ]
            for row in figures.standing
        ],
        "open": figures.open,
        "said_open": f"{figures.open:,}",
        "rows": [_row(row) for row in figures.rows.slice(0, MOST_ROWS).to_pylist()],
    }
    template = files("assets.report").joinpath("report.typ").read_bytes()
    try:
        content: bytes = typst.compile(template, sys_inputs={"data": msgspec.json.encode(data).decode()})
    except typst.TypstError as error:
        raise StorageError(f"The PDF could not be made: {error}.") from error
    return content


def _chart(chart: Drawn, width: int) -> dict[str, str]:
    import vl_convert

    spec = {**chart.spec, "width": width, "autosize": {"type": "fit-x", "contains": "padding"}}
    return {"title": chart.title, "says": chart.says, "svg": vl_convert.vegalite_to_svg(spec)}


def _named(row: Named, most: int) -> dict[str, Any]:
    shares = {severity: getattr(row, severity) / most * 100 for severity in SEVERITIES}
    return {"name": breakable(row.name), "open": f"{row.open:,}", "new": f"{row.new:,}", "shares": shares}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    left = row["sla_days_left"]
    if left is None:
        sla = row["triage"].replace("_", " ")
    else:
        sla = f"{ceil(-left)} d late" if left < 0 else f"{floor(left)} d left"
    return {
        "severity": row["severity"],
        "description": breakable(row["description"]),
        "file": breakable(row["file_path"] or ""),
        "plugin": breakable(row["target_plugin"]),
        "rule": breakable(row["rule"] or ""),
        "age": f"{floor(row['age_days'])} d",
        "sla": sla,
        "late": left is not None and left < 0,
    }
