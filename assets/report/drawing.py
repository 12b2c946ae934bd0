"""What the charts of a report share: how they look, and what comes with each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import altair as alt

from resources.schema import SEVERITIES

if TYPE_CHECKING:
    from altair.typing import ChartType

Colours = Mapping[str, str]
"""By name: the severities, `new`, `reopened`, `fixed`, `score`, `span`, `heat-0` to `heat-5`, `soft`, `line`,
and the `font`."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart: its Vega-Lite specification, without a width, and the figures that it shows."""

    name: str
    title: str
    says: str
    """What it shows, for those who do not see it."""
    spec: dict[str, Any]
    heads: tuple[str, ...]
    rows: list[tuple[str | int | float | None, ...]]


def drawn(
    name: str,
    title: str,
    says: str,
    chart: ChartType,
    colours: Colours,
    heads: tuple[str, ...],
    rows: list[tuple[Any, ...]],
) -> Drawn:
    spec = chart.to_dict(validate=False)  # a test holds them against the schema
    spec["config"] = _config(colours)
    return Drawn(name, title, says, spec, heads, rows)


def _config(colours: Colours) -> dict[str, Any]:
    soft = {"labelColor": colours["soft"], "labelFontSize": 11}
    lines = {f"{part}Color": colours["line"] for part in ("grid", "domain", "tick")}
    title = {"titleColor": colours["soft"], "titleFontWeight": "normal", "titleFontSize": 11}
    return {
        "background": None,
        "font": colours["font"],
        "view": {"stroke": None},
        "axis": {**soft, **lines, **title},
        "legend": soft,
    }


def data(values: list[dict[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=values)


def piled(names: Iterable[str], counts: Iterable[int]) -> Iterator[tuple[str, int, int]]:
    """Each name with its count, and how much lies under it."""
    under = 0
    for name, count in zip(names, counts, strict=True):
        yield name, count, under
        under += count


def severity_colour(colours: Colours) -> alt.Color:
    scale = alt.Scale(domain=list(SEVERITIES), range=[colours[severity] for severity in SEVERITIES])
    return alt.Color("severity:N", scale=scale, legend=legend())


def legend() -> alt.Legend:
    return alt.Legend(title=None, orient="top", symbolType="square")
