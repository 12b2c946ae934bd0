"""What is asked for, and the shape of the answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from resources.errors import UsageError
from resources.schema import Column


class Grain(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def label(self, period: date) -> str:
        """`2025-08-29`, `2025-W35` (ISO 8601) or `2025-08`, given the first day of the period."""
        if self is Grain.DAY:
            return period.isoformat()
        if self is Grain.WEEK:
            year, week, _ = period.isocalendar()
            return f"{year:04}-W{week:02}"
        return period.isoformat()[: len("2025-08")]

    def begin(self, day: date) -> date:
        """The first day of the period that `day` lies in; weeks begin on Monday."""
        if self is Grain.WEEK:
            return day - timedelta(days=min(day.weekday(), (day - date.min).days))
        return day.replace(day=1) if self is Grain.MONTH else day


@dataclass(frozen=True, slots=True)
class Asked:
    """Which runs: those from `first` to `last` (UTC, both included; None: without an end) of `plugin`,
    None: of all. Raises `UsageError` where `last` is before `first`."""

    first: date | None = None
    last: date | None = None
    plugin: str | None = None
    grain: Grain = Grain.DAY

    def __post_init__(self) -> None:
        if self.first is not None and self.last is not None and self.last < self.first:
            raise UsageError(f"The trend would end on {self.last}, before it begins on {self.first}.")


@dataclass(frozen=True, slots=True)
class Period:
    """A period in which something ran or was refused, as far as it lies in what is asked for."""

    period: date
    """Its first day: of a week the Monday, of a month the first, even where that is not asked for."""
    target_plugin: str | None
    """None: all plugins together, or the one that is asked for."""
    runs: int
    clean_runs: int
    total_issues: int
    """As all runs of the period reported them, run by run."""
    critical_issues: int
    high_issues: int
    medium_issues: int
    low_issues: int
    average_score: float | None
    """Of the runs that have a score, 0 to 100."""
    lowest_score: int | None
    new: int
    """Problems that were seen for the first time."""
    reopened: int
    """How often a problem came back after it was fixed."""
    fixed: int
    """How often a problem was gone in a run that looked."""
    open: int
    """Problems that are not fixed at the end: `open` of the period before + new + reopened - fixed."""
    mean_days_to_fix: float | None
    """Of those that were fixed in the period: days since they came up, or came back."""
    median_days_to_fix: float | None
    rejected: int | None
    """Runs refused in the period and not taken in since; None where it is about one plugin."""
    rejected_share: float | None
    """`rejected` out of all that came in during the period, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Category:
    """The issues of a category in a period, as all runs of the period reported them."""

    period: date
    target_plugin: str | None
    """As in `Period`."""
    category: str | None
    total_issues: int
    critical_issues: int
    high_issues: int
    medium_issues: int
    low_issues: int


@dataclass(frozen=True, slots=True)
class Top:
    """A rule or a file, and its problems in the whole time that is asked for."""

    name: str
    problems: int
    """Those that were there at some time, each once; this is what the order goes by."""
    new: int
    reopened: int
    fixed: int
    open: int
    """As in `Period`; `open` at the end."""


@dataclass(frozen=True, slots=True)
class Flapping:
    """A problem that came back `FLAPPING` times or more in the time that is asked for."""

    fingerprint: str
    target_plugin: str
    category: str | None
    severity: str
    """As last seen before it was fixed again, as `description`."""
    description: str
    file_path: str | None
    rule: str | None
    reopened: int
    open: bool
    """At the end."""


FLAPPING = 2
"""Coming back once happens; coming back so often is flapping."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands out in the whole time that is asked for, the most frequent first."""

    rules: list[Top]
    files: list[Top]
    flapping: list[Flapping]


@dataclass(frozen=True, slots=True)
class Trends:
    """All of it. `overall` and `plugins` are ordered by period, `plugins` by name."""

    asked: Asked
    overall: list[Period]
    plugins: dict[str, list[Period]]
    """Only the periods in which the plugin has runs."""
    categories: list[Category]
    """Those of all together (`target_plugin` None) first, then by plugin; by period, most issues first."""
    rules: list[Top]
    files: list[Top]
    flapping: list[Flapping]


PERIODS = (
    Column("period", "date", False, "first day of the day, ISO week or month"),
    Column("target_plugin", "string", True, "the plugin; null: all together"),
    Column("runs", "int64", False, "runs of the period"),
    Column("clean_runs", "int64", False, "those without an issue"),
    Column("total_issues", "int64", False, "issues, as every run reported them"),
    Column("critical_issues", "int64", False, "critical ones"),
    Column("high_issues", "int64", False, "high ones"),
    Column("medium_issues", "int64", False, "medium ones"),
    Column("low_issues", "int64", False, "low ones"),
    Column("average_score", "double", True, "of the runs that have a score"),
    Column("lowest_score", "int16", True, "of the runs that have a score"),
    Column("new", "int64", False, "problems seen for the first time"),
    Column("reopened", "int64", False, "how often a problem came back after it was fixed"),
    Column("fixed", "int64", False, "how often a problem was gone in a run that looked"),
    Column("open", "int64", False, "problems that are not fixed at the end of the period"),
    Column("mean_days_to_fix", "double", True, "days from opened to fixed, of those fixed in the period"),
    Column("median_days_to_fix", "double", True, "the same, the one in the middle"),
    Column("rejected", "int64", True, "runs refused in the period and not taken in since; null for a plugin"),
    Column("rejected_share", "double", True, "those out of all that came in; null for a plugin"),
)
"""The columns of the kept trends, which are the fields of `Period`."""
