"""Trends worked out run by run, in plain Python."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import mean, median
from typing import Any

from assets.trends.model import FLAPPING, Asked, Category, Flapping, Grain, Period, Top, Trends
from resources.schema import SEVERITIES
from tests.problems.histories import Issue, Run, looks


@dataclass
class Life:
    print: str
    place: int
    """0 is the first life of the problem."""
    plugin: str
    issue: Issue
    """As last seen."""
    opened: date
    opened_hours: int
    fixed: date | None = None
    fixed_hours: int = 0


def lives_of(runs: Sequence[Run]) -> list[Life]:
    """The lives of all problems; of equal moments the run that comes first is the earlier."""
    found: list[Life] = []
    for plugin in sorted({run.plugin for run in runs}):
        newest: dict[str, Life] = {}
        for run in sorted((run for run in runs if run.plugin == plugin), key=lambda run: run.hours):
            there = {print: issue for print, issue in run.prints().items() if looks(run, issue)}
            for print, life in newest.items():
                if life.fixed is None and print not in there and looks(run, life.issue):
                    life.fixed, life.fixed_hours = run.moment.date(), run.hours
            for print, issue in there.items():
                known = newest.get(print)
                if known is None or known.fixed is not None:
                    place = 0 if known is None else known.place + 1
                    newest[print] = Life(print, place, plugin, issue, run.moment.date(), run.hours)
                    found.append(newest[print])
                else:
                    known.issue = issue
    return found


def trends(runs: Sequence[Run], asked: Asked, top: int) -> Trends:
    """What `figures.read` is to answer where nothing was refused."""
    own = [run for run in runs if asked.plugin in (None, run.plugin)]
    lives = [life for life in lives_of(runs) if asked.plugin in (None, life.plugin)]
    first, last = asked.first or date.min, asked.last or date.max
    inside = [run for run in own if first <= run.moment.date() <= last]

    def periods(plugin: str | None) -> list[Period]:
        ours = [run for run in inside if plugin in (None, run.plugin)]
        theirs = [life for life in lives if plugin in (None, life.plugin)]
        return [_period(p, plugin, ours, theirs, asked) for p in _periods(ours, asked.grain)]

    plugins = sorted({run.plugin for run in inside})
    there = [life for life in lives if life.opened <= last and not (life.fixed and life.fixed < first)]
    return Trends(
        asked,
        periods(None),
        {plugin: periods(plugin) for plugin in plugins},
        [row for plugin in (None, *plugins) for row in _categories(inside, plugin, asked.grain)],
        _tops(there, first, last, top, lambda issue: issue.rule or None),
        _tops(there, first, last, top, lambda issue: issue.path),
        _flapping(lives, first, last)[:top],
    )


def _begin(day: date, grain: Grain) -> date:
    if grain is Grain.MONTH:
        return date(day.year, day.month, 1)
    return date.fromisocalendar(*day.isocalendar()[:2], 1) if grain is Grain.WEEK else day


def _periods(runs: Iterable[Run], grain: Grain) -> list[date]:
    return sorted({_begin(run.moment.date(), grain) for run in runs})


def _period(
    period: date, plugin: str | None, runs: Sequence[Run], lives: Sequence[Life], asked: Asked
) -> Period:
    first, last = asked.first or date.min, asked.last or date.max

    def within(day: date | None) -> bool:
        return day is not None and first <= day <= last and _begin(day, asked.grain) == period

    ours = [run for run in runs if within(run.moment.date())]
    issues = Counter(issue.severity for run in ours for issue in run.issues)
    scores = [run.score for run in ours if run.score is not None]
    began = [life for life in lives if within(life.opened)]
    ended = [life for life in lives if within(life.fixed)]
    end = period
    while end < last and _begin(end + timedelta(days=1), asked.grain) == period:
        end += timedelta(days=1)
    days = [(life.fixed_hours - life.opened_hours) / 24 for life in ended]
    alone = plugin is not None or asked.plugin is not None
    return Period(
        period,
        plugin,
        len(ours),
        sum(not run.issues for run in ours),
        issues.total(),
        *(issues[severity] for severity in SEVERITIES),  # type: ignore[arg-type]
        mean(scores) if scores else None,  # type: ignore[misc]
        min(scores, default=None),
        new=sum(life.place == 0 for life in began),
        reopened=sum(life.place > 0 for life in began),
        fixed=len(ended),
        open=sum(life.opened <= end and (life.fixed is None or life.fixed > end) for life in lives),
        mean_days_to_fix=mean(days) if days else None,
        median_days_to_fix=median(days) if days else None,
        rejected=None if alone else 0,
        rejected_share=None if alone else 0.0,
    )


def _categories(runs: Iterable[Run], plugin: str | None, grain: Grain) -> list[Category]:
    counts: dict[tuple[date, str | None], Counter[str]] = defaultdict(Counter)
    for run in runs:
        if plugin in (None, run.plugin):
            for issue in run.issues:
                counts[_begin(run.moment.date(), grain), issue.category][issue.severity] += 1
    found = [
        Category(period, plugin, category, count.total(), *(count[s] for s in SEVERITIES))  # type: ignore[call-arg]
        for (period, category), count in counts.items()
    ]
    return sorted(found, key=lambda row: (row.period, -row.total_issues, row.category or ""))


def _tops(
    lives: Iterable[Life], first: date, last: date, top: int, name: Callable[[Issue], str | None]
) -> list[Top]:
    by_name: dict[str, list[Life]] = defaultdict(list)
    for life in lives:
        named = name(life.issue)
        if named is not None:
            by_name[named].append(life)
    found = []
    for named, ours in by_name.items():
        began = [life for life in ours if life.opened >= first]
        ended = sum(life.fixed is not None and life.fixed <= last for life in ours)
        new = sum(life.place == 0 for life in began)
        problems = len({life.print for life in ours})
        found.append(Top(named, problems, new, len(began) - new, ended, len(ours) - ended))
    return sorted(found, key=lambda row: (-row.problems, -row.open, row.name))[:top]


def _flapping(lives: Iterable[Life], first: date, last: date) -> list[Flapping]:
    by_print: dict[str, list[Life]] = defaultdict(list)
    for life in lives:
        if life.opened <= last:
            by_print[life.print].append(life)
    found: list[tuple[Any, Flapping]] = []
    for print, ours in by_print.items():
        back = sum(life.place > 0 and life.opened >= first for life in ours)
        if back >= FLAPPING:
            life = ours[-1]
            issue = life.issue
            still = life.fixed is None or life.fixed > last
            path = (issue.path is not None, issue.path or "")
            order = (-back, SEVERITIES.index(issue.severity), life.plugin, path, print)
            row = Flapping(
                print,
                life.plugin,
                issue.category,
                issue.severity,
                issue.text,
                issue.path,
                issue.rule or None,
                back,
                still,
            )
            found.append((order, row))
    return [row for _, row in sorted(found, key=lambda pair: pair[0])]
