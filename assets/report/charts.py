"""The charts of a report, by Vega-Altair: the same specifications for the page and for the PDF.

Colours come in by name, as CSS variables for the page, so that light, dark and paper need no
other drawing, and as colours for the PDF.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import altair as alt

from assets.report import timeline
from assets.report.drawing import Colours, Drawn, data, drawn, piled, severity_colour
from assets.report.model import AGE_NAMES, Figures
from resources.schema import SEVERITIES

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HEAT_STEPS = 5


def draw(figures: Figures, colours: Colours) -> list[Drawn]:
    """All charts, in the order in which they are shown."""
    return [
        timeline.severities(figures, colours),
        timeline.flow(figures, colours),
        timeline.score(figures, colours),
        _ages(figures, colours),
        _map(figures, colours),
    ]


def _ages(figures: Figures, colours: Colours) -> Drawn:
    counts = {(age.bucket, age.severity): age.open for age in figures.ages}
    values = [
        {
            "age": name,
            "bucket": bucket,
            "severity": severity,
            "open": count,
            "from": under,
            "to": under + count,
        }
        for bucket, name in enumerate(AGE_NAMES)
        for severity, count, under in piled(
            SEVERITIES, [counts.get((bucket, severity), 0) for severity in SEVERITIES]
        )
    ]
    chart = (
        alt.Chart(data(values))
        .mark_bar(cursor="pointer")
        .encode(
            y=alt.Y("age:N", sort=list(AGE_NAMES), title=None, axis=alt.Axis(domain=False, ticks=False)),
            x=alt.X("from:Q", title="open problems", axis=alt.Axis(tickMinStep=1, tickCount=5, format="~s")),
            x2="to:Q",
            color=severity_colour(colours),
            tooltip=["age:N", "severity:N", alt.Tooltip("open:Q", format=",")],
        )
        .properties(height=150)
    )
    rows = [
        (name, *(counts.get((bucket, severity), 0) for severity in SEVERITIES))
        for bucket, name in enumerate(AGE_NAMES)
    ]
    says = "Bars of the open problems by the time since they came up, or came back, and by severity."
    return drawn("ages", "Open, by age", says, chart, colours, ("age", *SEVERITIES), rows)


def _map(figures: Figures, colours: Colours) -> Drawn:
    """Weeks side by side, Monday on top."""
    found = {day.day: day for day in figures.days}
    first = figures.asked.year_from
    first -= timedelta(days=min(first.weekday(), (first - date.min).days))
    limits = _steps([day.total_issues for day in figures.days])
    values: list[dict[str, Any]] = []
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
        alt.Chart(data(values))
        .mark_rect(cornerRadius=2, cursor="pointer")
        .encode(
            x=x,
            y=alt.Y(
                "weekday:O",
                title=None,
                sort=list(WEEKDAYS),
                scale=alt.Scale(paddingInner=0.12),
                axis=alt.Axis(
                    domain=False,
                    ticks=False,
                    labelExpr="indexof(['Mon','Wed','Fri'], datum.value) < 0 ? '' : datum.value",
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
        alt.Chart(data(months))
        .mark_text(align="left", baseline="bottom", dy=-4, fontSize=11, color=colours["soft"])
        .encode(
            x=alt.X("week:O", axis=None, scale=alt.Scale(domain=weeks), bandPosition=0),
            y=alt.value(0),
            text="month:N",
        )
    )
    chart = alt.layer(cells, names).properties(height=120)
    rows = [(day.day.isoformat(), day.runs, day.total_issues) for day in reversed(figures.days)]
    says = "A map of the days of a year: the darker, the more issues the runs of the day reported."
    return drawn("map", "Days", says, chart, colours, ("day", "runs", "issues"), rows)


def _steps(counts: list[int]) -> list[int]:
    """Where the colours of the map change: quantiles of the days that have issues."""
    some = sorted(count for count in counts if count)
    return [some[len(some) * step // HEAT_STEPS] for step in range(1, HEAT_STEPS)] if some else []
