"""The charts along time: issues by severity, problems new and fixed, scores."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import altair as alt

from assets.report.drawing import Colours, Drawn, data, drawn, legend, piled, severity_colour
from assets.report.model import Figures
from assets.trends.model import Grain, Period
from resources.schema import SEVERITIES

if TYPE_CHECKING:
    from altair.typing import ChartType

_HEIGHT = 210


def severities(figures: Figures, colours: Colours) -> Drawn:
    values = [
        {**_span(figures, period), "severity": severity, "issues": count, "from": under, "to": under + count}
        for period in figures.periods
        for severity, count, under in piled(
            SEVERITIES, [getattr(period, f"{severity}_issues") for severity in SEVERITIES]
        )
    ]
    picked = alt.selection_point(name="severities_shown", fields=["severity"], bind="legend")
    bars = _bars(
        values,
        y=alt.Y("from:Q", title="issues", axis=alt.Axis(tickMinStep=1, format="~s")),
        y2="to:Q",
        color=severity_colour(colours),
        opacity=alt.condition(picked, alt.value(1), alt.value(0.15)),
        tooltip=["label:N", "severity:N", alt.Tooltip("issues:Q", format=",")],
    ).add_params(picked)
    rows = [
        (_label(figures, p), p.runs, p.critical_issues, p.high_issues, p.medium_issues, p.low_issues)
        for p in figures.periods
    ]
    return drawn(
        "severity",
        "Issues reported, by severity",
        f"Bars of the issues that runs reported, by {figures.asked.grain.value} and severity.",
        _over_days(figures, colours, bars),
        colours,
        (figures.asked.grain.value, "runs", *SEVERITIES),
        rows,
    )


def flow(figures: Figures, colours: Colours) -> Drawn:
    kinds = ("new", "came back", "fixed")
    values = [
        {**_span(figures, p), "kind": kind, "problems": count, "from": begin, "to": end}
        for p in figures.periods
        for kind, count, begin, end in (
            (kinds[0], p.new, 0, p.new),
            (kinds[1], p.reopened, p.new, p.new + p.reopened),
            (kinds[2], p.fixed, -p.fixed, 0),
        )
    ]
    bars = _bars(
        values,
        y=alt.Y(
            "from:Q",
            title="problems",
            axis=alt.Axis(tickMinStep=1, labelExpr="format(abs(datum.value), '~s')"),
        ),
        y2="to:Q",
        color=alt.Color(
            "kind:N",
            scale=alt.Scale(domain=list(kinds), range=[colours[k] for k in ("new", "reopened", "fixed")]),
            legend=legend(),
        ),
        tooltip=["label:N", "kind:N", alt.Tooltip("problems:Q", format=",")],
    )
    zero = alt.Chart(data([{}]), name="flow_zero").mark_rule(color=colours["soft"]).encode(y=alt.datum(0))
    rows = [(_label(figures, p), p.new, p.reopened, p.fixed, p.open) for p in figures.periods]
    return drawn(
        "flow",
        "New against fixed",
        f"Bars upward of problems that came up or came back, downward of those fixed, by"
        f" {figures.asked.grain.value}.",
        _over_days(figures, colours, bars, zero),
        colours,
        (figures.asked.grain.value, "new", "came back", "fixed", "open at the end"),
        rows,
    )


def score(figures: Figures, colours: Colours) -> Drawn:
    values = [
        {**_span(figures, p), "average": p.average_score, "lowest": p.lowest_score}
        for p in figures.periods
        if p.average_score is not None
    ]
    x = alt.X("middle:T", title=None, axis=_time_axis(), scale=alt.Scale(type="utc"))
    y = alt.Y("average:Q", title="score", scale=alt.Scale(domain=[0, 100]))
    tooltip = ["label:N", alt.Tooltip("average:Q", format=".1f"), alt.Tooltip("lowest:Q", format=".0f")]
    scores = alt.Chart(data(values))
    layers: list[ChartType] = [
        scores.mark_area(color=colours["score"], opacity=0.14).encode(x=x, y=y, y2="lowest:Q"),
        scores.mark_line(color=colours["score"], strokeWidth=2).encode(x=x, y=y),
        scores.mark_circle(color=colours["score"], size=42, opacity=1).encode(x=x, y=y, tooltip=tooltip),
    ]
    rows = [
        (_label(figures, p), _rounded(p.average_score), p.lowest_score)
        for p in figures.periods
        if p.average_score is not None
    ]
    return drawn(
        "score",
        "Score, average and lowest",
        f"A line of the average score of the runs, and the lowest below it, by {figures.asked.grain.value}.",
        _over_days(figures, colours, *layers),
        colours,
        (figures.asked.grain.value, "average score", "lowest score"),
        rows,
    )


def _bars(values: list[dict[str, Any]], **encoded: Any) -> alt.Chart:
    chart = alt.Chart(data(values)).mark_rect(cursor="pointer")
    x = alt.X("begin:T", title=None, axis=_time_axis(), scale=alt.Scale(type="utc"))
    bars: alt.Chart = chart.encode(x=x, x2="end:T", **encoded)
    return bars


def _over_days(figures: Figures, colours: Colours, *layers: ChartType) -> ChartType:
    """The layers over all days that are drawn, with a band behind those that the report is about."""
    asked = figures.asked
    end = _utc(asked.last + timedelta(days=1))
    spans = [{"begin": _utc(asked.drawn_from), "end": end, "shown": 0}]
    if asked.drawn_from < asked.first:
        spans.append({"begin": _utc(asked.first), "end": end, "shown": 1})
    band = (
        alt.Chart(data(spans))
        .mark_rect(color=colours["span"], tooltip=None)
        .encode(
            x=alt.X("begin:T", title=None, axis=_time_axis(), scale=alt.Scale(type="utc")),
            x2="end:T",
            opacity=alt.Opacity("shown:Q", scale=None),
        )
    )
    return alt.layer(band, *layers).properties(height=_HEIGHT)


def _time_axis() -> alt.Axis:
    return alt.Axis(grid=False, labelOverlap=True, labelFlush=True, tickCount=8)


def _span(figures: Figures, period: Period) -> dict[str, Any]:
    """Where a period begins and ends in a chart: a little before the next, so that bars stand apart."""
    begin, end = _bounds(figures, period)
    length = (end - begin).days
    gap = timedelta(hours=24 * length * 0.12)
    return {
        "label": _label(figures, period),
        "first": begin.isoformat(),
        "last": (end - timedelta(days=1)).isoformat(),
        "begin": _utc(begin),
        "middle": _utc(begin) + length * 43_200_000,
        "end": _utc(end) - int(gap.total_seconds() * 1000),
    }


def _bounds(figures: Figures, period: Period) -> tuple[date, date]:
    """The first day of the period, and the first after it."""
    grain, begin = figures.asked.grain, period.period
    if grain is Grain.DAY:
        return begin, begin + timedelta(days=1)
    if grain is Grain.WEEK:
        return begin, begin + timedelta(days=7)
    return begin, (begin + timedelta(days=31)).replace(day=1)


def _label(figures: Figures, period: Period) -> str:
    return figures.asked.grain.label(period.period)


def _utc(day: date) -> int:
    """Milliseconds since 1970."""
    return (day - date(1970, 1, 1)).days * 86_400_000


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
