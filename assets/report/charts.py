"""The charts of a report, by Vega-Altair: the same specifications for the page and for the PDF.

Colours come in by name, as CSS variables for the page, so that light, dark and paper need no
other drawing, and as colours for the PDF.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import altair as alt

from assets.report.model import AGE_NAMES, Figures
from assets.trends.model import Grain, Period
from resources.schema import SEVERITIES

if TYPE_CHECKING:
    from altair.typing import ChartType

Colours = Mapping[str, str]
"""By name: the severities, `new`, `fixed`, `score`, `span`, `heat-0` to `heat-5`, `ink`, `soft`, `line`, `font`."""

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HEAT_STEPS = 5
_HEIGHT = 210


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


def draw(figures: Figures, colours: Colours) -> list[Drawn]:
    """All charts, in the order in which they are shown."""
    return [
        _severities(figures, colours),
        _flow(figures, colours),
        _score(figures, colours),
        _ages(figures, colours),
        _map(figures, colours),
    ]


def _severities(figures: Figures, colours: Colours) -> Drawn:
    values = [
        {**_span(figures, period), "severity": severity, "issues": count, "from": under, "to": under + count}
        for period in figures.periods
        for severity, count, under in _piled(
            SEVERITIES, [getattr(period, f"{severity}_issues") for severity in SEVERITIES]
        )
    ]
    picked = alt.selection_point(name="severities_shown", fields=["severity"], bind="legend")
    bars = _bars(
        values,
        y=alt.Y("from:Q", title="issues", axis=alt.Axis(tickMinStep=1, format="~s")),
        y2="to:Q",
        color=_severity_colour(colours),
        opacity=alt.condition(picked, alt.value(1), alt.value(0.15)),
        tooltip=["label:N", "severity:N", alt.Tooltip("issues:Q", format=",")],
    ).add_params(picked)
    rows = [
        (_label(figures, p), p.runs, p.critical_issues, p.high_issues, p.medium_issues, p.low_issues)
        for p in figures.periods
    ]
    return _drawn(
        "severity",
        "Issues reported, by severity",
        f"Bars of the issues that runs reported, by {figures.asked.grain.value} and severity.",
        _over_days(figures, colours, bars),
        colours,
        (figures.asked.grain.value, "runs", *SEVERITIES),
        rows,
    )


def _flow(figures: Figures, colours: Colours) -> Drawn:
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
            legend=_legend(),
        ),
        tooltip=["label:N", "kind:N", alt.Tooltip("problems:Q", format=",")],
    )
    zero = (
        alt.Chart(alt.Data(values=[{}]), name="flow_zero")
        .mark_rule(color=colours["soft"])
        .encode(y=alt.datum(0))
    )
    rows = [(_label(figures, p), p.new, p.reopened, p.fixed, p.open) for p in figures.periods]
    return _drawn(
        "flow",
        "New against fixed",
        f"Bars upward of problems that came up or came back, downward of those fixed, by"
        f" {figures.asked.grain.value}.",
        _over_days(figures, colours, bars, zero),
        colours,
        (figures.asked.grain.value, "new", "came back", "fixed", "open at the end"),
        rows,
    )


def _score(figures: Figures, colours: Colours) -> Drawn:
    values = [
        {**_span(figures, p), "average": p.average_score, "lowest": p.lowest_score}
        for p in figures.periods
        if p.average_score is not None
    ]
    x = alt.X("middle:T", title=None, axis=_time_axis(), scale=alt.Scale(type="utc"))
    y = alt.Y("average:Q", title="score", scale=alt.Scale(domain=[0, 100]))
    tooltip = ["label:N", alt.Tooltip("average:Q", format=".1f"), alt.Tooltip("lowest:Q", format=".0f")]
    data = alt.Chart(alt.Data(values=values))
    layers: list[ChartType] = [
        data.mark_area(color=colours["score"], opacity=0.14).encode(x=x, y=y, y2="lowest:Q"),
        data.mark_line(color=colours["score"], strokeWidth=2).encode(x=x, y=y),
        data.mark_circle(color=colours["score"], size=42, opacity=1).encode(x=x, y=y, tooltip=tooltip),
    ]
    rows = [
        (_label(figures, p), _rounded(p.average_score), p.lowest_score)
        for p in figures.periods
        if p.average_score is not None
    ]
    return _drawn(
        "score",
        "Score, average and lowest",
        f"A line of the average score of the runs, and the lowest below it, by {figures.asked.grain.value}.",
        _over_days(figures, colours, *layers),
        colours,
        (figures.asked.grain.value, "average score", "lowest score"),
        rows,
    )


def _ages(figures: Figures, colours: Colours) -> Drawn:
    counts = {(age.bucket, age.severity): age.open for age in figures.ages}
    values = [
        {"age": name, "bucket": bucket, "severity": severity, "open": count, "from": under, "to": under + count}
        for bucket, name in enumerate(AGE_NAMES)
        for severity, count, under in _piled(
            SEVERITIES, [counts.get((bucket, severity), 0) for severity in SEVERITIES]
        )
    ]
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_bar(cursor="pointer")
        .encode(
            y=alt.Y("age:N", sort=list(AGE_NAMES), title=None, axis=alt.Axis(domain=False, ticks=False)),
            x=alt.X("from:Q", title="open problems", axis=alt.Axis(tickMinStep=1, format="~s")),
            x2="to:Q",
            color=_severity_colour(colours),
            tooltip=["age:N", "severity:N", alt.Tooltip("open:Q", format=",")],
        )
        .properties(height=_HEIGHT)
    )
    rows = [
        (name, *(counts.get((bucket, severity), 0) for severity in SEVERITIES))
        for bucket, name in enumerate(AGE_NAMES)
    ]
    says = "Bars of the open problems by the time since they came up, or came back, and by severity."
    return _drawn("ages", "Open, by age", says, chart, colours, ("age", *SEVERITIES), rows)


def _map(figures: Figures, colours: Colours) -> Drawn:
    """Weeks side by side, Monday on top."""
    found = {day.day: day for day in figures.days}
    first = figures.asked.year_from
    first -= timedelta(days=min(first.weekday(), (first - date.min).days))
    limits = _steps([day.total_issues for day in figures.days])
    values = []
    for number in range((figures.asked.last - first).days + 1):
        day = first + timedelta(days=number)
        ran = found.get(day)
        step = 0 if ran is None else 1 + sum(ran.total_issues > limit for limit in limits)
        values.append(
            {
                "day": day.isoformat(),
                "week": number // 7,
                "weekday": WEEKDAYS[day.weekday()],
                "step": step,
                "runs": ran.runs if ran else 0,
                "issues": ran.total_issues if ran else 0,
            }
        )
    months = [
        {"week": row["week"], "month": date.fromisoformat(str(row["day"])).strftime("%b")}
        for row in values
        if str(row["day"]).endswith("-01")
    ]
    weeks = list(range(values[-1]["week"] + 1))
    x = alt.X("week:O", title=None, axis=None, scale=alt.Scale(domain=weeks, paddingInner=0.12))
    cells = (
        alt.Chart(alt.Data(values=values))
        .mark_rect(cornerRadius=2, cursor="pointer")
        .encode(
            x=x,
            y=alt.Y(
                "weekday:O",
                title=None,
                sort=list(WEEKDAYS),
                scale=alt.Scale(paddingInner=0.12),
                axis=alt.Axis(
                    domain=False, ticks=False, labelExpr="indexof(['Mon','Wed','Fri'], datum.value) < 0 ? '' : datum.value"
                ),
            ),
            color=alt.Color(
                "step:O",
                legend=None,
                scale=alt.Scale(
                    domain=list(range(HEAT_STEPS + 1)),
                    range=[colours[f"heat-{step}"] for step in range(HEAT_STEPS + 1)],
                ),
            ),
            tooltip=["day:N", alt.Tooltip("runs:Q", format=","), alt.Tooltip("issues:Q", format=",")],
        )
    )
    names = (
        alt.Chart(alt.Data(values=months))
        .mark_text(align="left", baseline="bottom", dy=-4, fontSize=11, color=colours["soft"])
        .encode(x=alt.X("week:O", axis=None, scale=alt.Scale(domain=weeks), bandPosition=0), y=alt.value(0), text="month:N")
    )
    chart = alt.layer(cells, names).properties(height=120)
    rows = [(day.day.isoformat(), day.runs, day.total_issues) for day in reversed(figures.days)]
    says = "A map of the days of a year: the darker, the more issues the runs of the day reported."
    return _drawn("map", "Days", says, chart, colours, ("day", "runs", "issues"), rows)


def _steps(counts: list[int]) -> list[int]:
    """Where the colours of the map change: quantiles of the days that have issues."""
    some = sorted(count for count in counts if count)
    return [some[len(some) * step // HEAT_STEPS] for step in range(1, HEAT_STEPS)] if some else []


def _bars(values: list[dict[str, Any]], **encoded: Any) -> alt.Chart:
    return (
        alt.Chart(alt.Data(values=values))
        .mark_rect(cursor="pointer")
        .encode(
            x=alt.X("begin:T", title=None, axis=_time_axis(), scale=alt.Scale(type="utc")),
            x2="end:T",
            **encoded,
        )
    )


def _over_days(figures: Figures, colours: Colours, *layers: ChartType) -> ChartType:
    """The layers over all days that are drawn, with a band behind those that the report is about."""
    asked = figures.asked
    end = _utc(asked.last + timedelta(days=1))
    spans = [{"begin": _utc(asked.drawn_from), "end": end, "shown": 0}]
    if asked.drawn_from < asked.first:
        spans.append({"begin": _utc(asked.first), "end": end, "shown": 1})
    band = (
        alt.Chart(alt.Data(values=spans))
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


def _severity_colour(colours: Colours) -> alt.Color:
    scale = alt.Scale(domain=list(SEVERITIES), range=[colours[severity] for severity in SEVERITIES])
    return alt.Color("severity:N", scale=scale, legend=_legend())


def _legend() -> alt.Legend:
    return alt.Legend(title=None, orient="top", symbolType="square")


def _piled(names: Iterable[str], counts: Iterable[int]) -> Iterator[tuple[str, int, int]]:
    """Each name with its count, and how much lies under it."""
    under = 0
    for name, count in zip(names, counts, strict=True):
        yield name, count, under
        under += count


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


def _drawn(
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
