"""The report as one HTML file that opens offline.

The page brings all it needs. Its content security policy lets nothing run but the scripts whose
hashes it names, and nothing be fetched; so Vega goes without `eval`, by the interpreter of
expressions that vega-embed brings along. Data come as compressed JSON in elements that no browser
runs, and reach the page as text.
"""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode
from importlib.resources import files
from typing import Any

import jinja2
import msgspec

from assets.exports.escaping import visible
from assets.report import headline, libraries, table
from assets.report.charts import HEAT_STEPS, draw
from assets.report.drawing import Drawn
from assets.report.model import AGE_NAMES, AGES, SOON, Figures
from resources.schema import SEVERITIES

_SCRIPTS = ("data", "filters", "table", "details", "charts", "main")
"""Our own, in the order in which they are put together."""

_NAMES = (*SEVERITIES, "new", "reopened", "fixed", "score", "span", "ink", "soft", "line")
COLOURS = {name: f"var(--{name})" for name in (*_NAMES, *(f"heat-{n}" for n in range(HEAT_STEPS + 1)))} | {
    "font": "system-ui, sans-serif"
}
"""Set by the style sheet, for light, dark and paper."""


def render(figures: Figures, manifest: dict[str, Any]) -> bytes:
    """The page, in UTF-8."""
    charts = draw(figures, COLOURS)
    payload = msgspec.json.encode(_payload(figures, charts))
    style, script, vendor = _text("report.css"), _script(), _inline(libraries.script())
    scripts = " ".join(_source(text) for text in (vendor, script))
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src {_source(style)};"
        " base-uri 'none'; form-action 'none'"
    )
    asked = figures.asked
    page = (
        _environment()
        .from_string(_text("report.html"))
        .render(
            policy=policy,
            style=style,
            script=script,
            vendor=vendor,
            data=b64encode(zlib.compress(payload, 9, -zlib.MAX_WBITS)).decode("ascii"),
            manifest=_inline_json({**manifest, "data_sha256": hashlib.sha256(payload).hexdigest()}),
            figures=figures,
            asked=asked,
            span=headline.span_text(asked.first, asked.last),
            before=headline.span_text(*asked.before),
            cards=headline.cards(figures),
            charts=charts,
            severities=SEVERITIES,
            soon=SOON,
        )
    )
    return page.encode("utf-8")


def _payload(figures: Figures, charts: list[Drawn]) -> dict[str, Any]:
    return {
        "asOf": int(figures.asked.as_of.timestamp()) * 1_000_000 + figures.asked.as_of.microsecond,
        "sla": dict(figures.asked.sla),
        "soon": SOON,
        "ages": AGES,
        "ageNames": AGE_NAMES,
        "severities": SEVERITIES,
        "open": figures.open,
        "charts": {chart.name: chart.spec for chart in charts},
        "table": table.encode(figures.rows),
    }


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["visible"] = lambda text: visible(str(text))
    environment.filters["number"] = lambda value: "–" if value is None else f"{value:,}"
    environment.filters["json"] = lambda value: msgspec.json.encode(value).decode("utf-8")
    return environment


def _script() -> str:
    parts = "\n".join(_text(f"{name}.js") for name in _SCRIPTS)
    return _inline(f'"use strict";\n{parts}')


def _text(name: str) -> str:
    return (files("assets.report") / "page" / name).read_text("utf-8")


def _inline(script: str) -> str:
    """A script that stays within its element."""
    return script.replace("</script", r"<\/script").replace("<!--", r"\x3C!--")


def _inline_json(document: Any) -> str:
    """JSON that stays within its element; `<` begins nothing."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode().replace("<", "\\u003c")


def _source(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
