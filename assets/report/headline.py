"""The figures on top, each beside that of the span before, as texts for page and PDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from assets.report.model import SOON, Figures, Standing


@dataclass(frozen=True, slots=True)
class Card:
    """A figure. `mood` is good, bad or even: whether the change is one for the better."""

    name: str
    value: str
    change: str
    mood: str
    note: str
    drill: Mapping[str, str | list[str]] | None = None
    """Which open problems it is about, as filters of the table."""


def cards(figures: Figures) -> list[Card]:
    """The figures, the most important first."""
    now, before = figures.flow, figures.flow_before
    worst, worst_before = _worst(figures.standing), _worst(figures.standing_before)
    triaged = sum(row.triaged for row in figures.standing)
    breached = sum(row.breached for row in figures.standing)
    breached_before = sum(row.breached for row in figures.standing_before)
    soon = sum(row.due_soon for row in figures.standing)
    days = [figures.asked.first.isoformat(), figures.asked.last.isoformat()]
    return [
        _count(
            "Open problems",
            figures.open,
            sum(r.open for r in figures.standing_before),
            -1,
            f"{triaged:,} of them accepted or false positive" if triaged else "none of them accepted",
            {},
        ),
        _count(
            "Critical or high",
            worst,
            worst_before,
            -1,
            "open, by their last severity",
            {"severity": ["critical", "high"]},
        ),
        _count(
            "Past their SLA",
            breached,
            breached_before,
            -1,
            f"{soon:,} more due within {SOON} days",
            {"sla": "breached"},
        ),
        _count("New", now.new, before.new, -1, f"and {now.reopened:,} came back", {"opened": days}),
        _count("Fixed", now.fixed, before.fixed, 1, "a run looked, and they were gone"),
        _score(now.average_score, before.average_score),
        _count("Runs", now.runs, before.runs, 0, f"reported {now.total_issues:,} issues"),
    ]


def span_text(first: date, last: date) -> str:
    """`24–30 Nov 2025`, as short as it is clear."""
    if first == last:
        return _day(last)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{_day(last)}"
    if first.year == last.year:
        return f"{first.day} {first:%b} – {_day(last)}"
    return f"{_day(first)} – {_day(last)}"


def _day(day: date) -> str:
    return f"{day.day} {day:%b} {day.year:04}"


def _worst(standing: Sequence[Standing]) -> int:
    return sum(row.open for row in standing if row.severity in ("critical", "high"))


def _count(
    name: str, now: int, before: int, good: int, note: str, drill: Mapping[str, str | list[str]] | None = None
) -> Card:
    """`good` is 1 where more is better, -1 where less is, 0 where neither is."""
    change = now - before
    said = f"{'▲' if change > 0 else '▼'} {abs(change):,} from {before:,}" if change else "no change"
    return Card(name, f"{now:,}", said, _mood(change * good), note, drill)


def _score(now: float | None, before: float | None) -> Card:
    name, note = "Average score", "of 100"
    if now is None:
        return Card(name, "–", "", "even", "no run has one")
    if before is None:
        return Card(name, f"{now:.1f}", "none before", "even", note)
    change = round(now, 1) - round(before, 1)
    said = f"{'▲' if change > 0 else '▼'} {abs(change):.1f} from {before:.1f}" if change else "no change"
    return Card(name, f"{now:.1f}", said, _mood(change), note)


def _mood(change: float) -> str:
    return "good" if change > 0 else "bad" if change < 0 else "even"
