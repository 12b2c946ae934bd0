"""`issuelake trend`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from pipelines.cli import options as o
from pipelines.cli.output import ONE_LINE, RIGHT, STYLES, TITLES, Heading, console, print_json, safe, table
from resources.errors import UsageError
from resources.schema import SEVERITIES, SEVERITY_COUNTS

if TYPE_CHECKING:
    from rich.console import Console

    from assets.trends.model import Period, Top, Trends
    from resources.backend import Backend

_SHOWN = 5
_HEIGHT = 16
_NARROWEST, _WIDEST = 40, 120
_TABLE_WIDTH = 140


class Grain(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


_DAYS = {Grain.DAY: 30, Grain.WEEK: 26 * 7, Grain.MONTH: 730}


class Chart(StrEnum):
    SEVERITY = "severity"
    SCORE = "score"
    FLOW = "flow"
    OPEN = "open"
    TABLE = "table"


Values = Callable[["Period"], float | None]

_LINES: dict[Chart, dict[str, tuple[str, Values]]] = {
    Chart.SEVERITY: {
        severity: (colour, lambda period, of=f"{severity}_issues": getattr(period, of))  # type: ignore[misc]
        for severity, colour in zip(SEVERITIES, ("magenta", "red", "yellow", "cyan"), strict=True)
    },
    Chart.SCORE: {
        "average": ("cyan", lambda period: period.average_score),
        "lowest": ("red", lambda period: period.lowest_score),
    },
    Chart.FLOW: {
        "new": ("red", lambda period: period.new),
        "reopened": ("yellow", lambda period: period.reopened),
        "fixed": ("green", lambda period: period.fixed),
    },
    Chart.OPEN: {"open": ("cyan", lambda period: period.open)},
}
_TITLES = {
    Chart.SEVERITY: "Issues reported",
    Chart.SCORE: "Score",
    Chart.FLOW: "Problems new, reopened and fixed",
    Chart.OPEN: "Problems open at the end",
}


def trend(
    plugin: o.PLUGIN = None,
    date_from: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="DAY", help="From this day on, UTC. [default: 30 days, 26 weeks or 2 years]"
        ),
    ] = None,
    date_to: Annotated[
        str | None,
        typer.Option(
            "--to", "--until", metavar="DAY", help="Up to and with this day. [default: the newest with runs]"
        ),
    ] = None,
    by: Annotated[
        Grain, typer.Option("--by", help="How long a period is; weeks begin on Monday.")
    ] = Grain.DAY,
    chart: Annotated[
        Chart,
        typer.Option(
            "--chart",
            help="What is drawn on a terminal: issues by severity, the score, what came and went, what is"
            " open, or a table of it all, which is what goes into a pipe.",
        ),
    ] = Chart.SEVERITY,
    storage: o.STORAGE = None,
    config: o.CONFIG = None,
    json: o.JSON = False,
) -> None:
    """Show how it goes: issues, scores, problems new, fixed and open, by day, week or month.

    Issues are counted as every run reports them; a problem is one however many runs report it.

    **Examples**

    `issuelake trend`

    `issuelake trend --plugin requests --by month --from 2020-01-01 --chart open`

    `issuelake trend --by week --chart flow`

    `issuelake trend --by month --json > trend.json`
    """
    from assets.problems.update import try_to_keep
    from assets.trends import figures, model
    from pipelines.cli.opening import open_storage

    lake = open_storage(storage, config).backend
    last = day_of("--to", date_to) if date_to else _newest(lake)
    first = day_of("--from", date_from) if date_from else _before(last, by)
    try_to_keep(lake)
    found = figures.read(lake, model.Asked(first, last, plugin, model.Grain(by)))
    if json:
        print_json(_document(found))
        return
    out = console()
    if not found.overall:
        out.print(
            "There are no runs in that time. See `issuelake history`, or give --from and --to.", markup=False
        )
        return
    title = f"{safe(plugin) if plugin else 'All plugins'}, {first} to {last}, by {by.value}"
    if out.is_terminal and chart is not Chart.TABLE:
        _draw(out, title, found, chart)
    else:
        if not out.is_terminal:
            out.width = max(out.width, _TABLE_WIDTH)  # nobody can widen a pipe
        out.print(_table(title, found))
    _stand_out(out, found)


def _draw(out: Console, title: str, found: Trends, chart: Chart) -> None:
    from pipelines.cli.charts import draw

    rows = found.overall
    lines = {name: (colour, [value(row) for row in rows]) for name, (colour, value) in _LINES[chart].items()}
    labels = [found.asked.grain.label(row.period) for row in rows]
    width = max(_NARROWEST, min(_WIDEST, out.width))
    out.print(Text(f"{_TITLES[chart]}: {title}", "bold"))
    out.print(draw([row.period for row in rows], labels, lines, width, _HEIGHT), no_wrap=True)


def _table(title: str, found: Trends) -> Any:
    numbers = RIGHT | ONE_LINE
    columns: list[Heading] = [(found.asked.grain.value.capitalize(), ONE_LINE), ("Runs", numbers)]
    columns += [(TITLES[name], numbers) for name in SEVERITY_COUNTS]
    columns += [(n, numbers) for n in ("Score", "New", "Back", "Fixed", "Open", "Days to fix", "Rejected")]
    rows = [
        [
            found.asked.grain.label(row.period),
            row.runs,
            *(getattr(row, name) for name in SEVERITY_COUNTS),
            _number(row.average_score),
            row.new,
            row.reopened,
            row.fixed,
            row.open,
            _number(row.median_days_to_fix),
            "–" if row.rejected_share is None else f"{row.rejected_share:.1%}",
        ]
        for row in found.overall
    ]
    return table(title, columns, rows)


def _stand_out(out: Console, found: Trends) -> None:
    for title, tops in (("Rules", found.rules), ("Files", found.files)):
        if tops:
            out.print(_tops(title, tops))
    if found.flapping:
        columns: list[Heading] = [("Back", RIGHT), "Severity", "Plugin", ("Problem", {"overflow": "fold"})]
        rows = [
            [
                row.reopened,
                Text(row.severity, STYLES[row.severity]),
                row.target_plugin,
                f"{row.file_path or ''}  {row.description}".strip(),
            ]
            for row in found.flapping[:_SHOWN]
        ]
        out.print(table("Problems that come back again and again", columns, rows))


def _tops(title: str, tops: list[Top]) -> Any:
    columns: list[Heading] = [(title, {"overflow": "fold"})]
    columns += [(name, RIGHT | ONE_LINE) for name in ("Problems", "New", "Back", "Fixed", "Open")]
    rows = [[top.name, top.problems, top.new, top.reopened, top.fixed, top.open] for top in tops[:_SHOWN]]
    return table(f"{title} with most problems", columns, rows)


def _document(found: Trends) -> dict[str, Any]:
    asked = found.asked
    return {
        "by": asked.grain.value,
        "from": asked.first,
        "to": asked.last,
        "plugin": asked.plugin,
        "overall": found.overall,
        "plugins": found.plugins,
        "categories": found.categories,
        "rules": found.rules,
        "files": found.files,
        "flapping": found.flapping,
    }


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def day_of(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a day like 2025-08-29.") from None


def _newest(lake: Backend) -> date:
    """The newest day that has runs; of those that are not in the future, where there are such."""
    today = datetime.now(UTC).date()
    days = lake.days()
    return max((day for day in days if day <= today), default=max(days, default=today))


def _before(last: date, by: Grain) -> date:
    return last - timedelta(days=min(_DAYS[by] - 1, (last - date.min).days))
