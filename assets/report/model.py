"""What a report is about, and the figures that it shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from assets.problems.sla import SlaDays
from assets.trends.model import Grain, Period

if TYPE_CHECKING:
    import pyarrow as pa

CONTEXT = 84
"""So many days are drawn at least, that a week is seen among others."""
YEAR = 371
"""So many days are on the map of days: 53 weeks."""
MOST_ROWS = 50_000
"""So many open problems are in the table, the worst of them."""
TOP = 10
"""So many plugins, categories, rules and files are listed."""
SOON = 7
"""Days: what is due within these is due soon."""
AGES = (7, 28, 91, 365)
"""Where one age ends and the next begins, in days."""
AGE_NAMES = ("under a week", "1 to 4 weeks", "1 to 3 months", "3 to 12 months", "a year or more")

_LONGEST = {Grain.DAY: 120, Grain.WEEK: 2 * 365}
"""Days that are drawn one by one, or week by week, at most."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The runs from `first` to `last` (UTC, both included) of `plugin`, None: of all; what is open is judged
    as of the moment `as_of`, which is no earlier than the last of those runs."""

    first: date
    last: date
    as_of: datetime
    plugin: str | None
    sla: SlaDays

    @property
    def before(self) -> tuple[date, date]:
        """The first and the last day of the span that it is compared with: the one before, as long."""
        last = _earlier(self.first, 1)
        return _earlier(last, (self.last - self.first).days), last

    @property
    def drawn_from(self) -> date:
        """The first day that is drawn."""
        return min(self.first, _earlier(self.last, CONTEXT - 1))

    @property
    def year_from(self) -> date:
        """The first day on the map of days."""
        return _earlier(self.last, YEAR - 1)

    @property
    def grain(self) -> Grain:
        """How long a period in a chart is."""
        days = (self.last - self.drawn_from).days + 1
        return next((grain for grain, most in _LONGEST.items() if days <= most), Grain.MONTH)


@dataclass(frozen=True, slots=True)
class Flow:
    """What happened in a span of days, as `assets.trends` counts it."""

    runs: int
    total_issues: int
    new: int
    reopened: int
    fixed: int
    average_score: float | None


@dataclass(frozen=True, slots=True)
class Standing:
    """The problems of a severity that are not fixed."""

    severity: str
    open: int = 0
    triaged: int = 0
    breached: int = 0
    due_soon: int = 0
    """Within `SOON` days."""
    oldest_days: float | None = None


@dataclass(frozen=True, slots=True)
class Age:
    """How many problems of a severity are so old: `bucket` is a place in `AGE_NAMES`."""

    bucket: int
    severity: str
    open: int


@dataclass(frozen=True, slots=True)
class Named:
    """A plugin, category, rule or file, and its problems that are not fixed."""

    name: str
    open: int
    critical: int
    high: int
    medium: int
    low: int
    new: int


@dataclass(frozen=True, slots=True)
class Tops:
    """Those with most open problems, and how many there are."""

    column: str
    title: str
    rows: list[Named]
    names: int


@dataclass(frozen=True, slots=True)
class Day:
    """A day on which something ran."""

    day: date
    runs: int
    total_issues: int


@dataclass(frozen=True, slots=True)
class Figures:
    """All that a report says."""

    asked: Asked
    flow: Flow
    flow_before: Flow
    standing: list[Standing]
    """One for each severity, the worst first."""
    standing_before: list[Standing]
    periods: list[Period]
    """All plugins together, or the one that is asked for, from `asked.drawn_from` on."""
    days: list[Day]
    ages: list[Age]
    tops: list[Tops]
    rows: pa.Table
    """Up to `MOST_ROWS` open problems, the worst first; moments in microseconds since 1970."""

    @property
    def open(self) -> int:
        return sum(row.open for row in self.standing)


def _earlier(day: date, days: int) -> date:
    return day - timedelta(days=min(days, (day - date.min).days))
