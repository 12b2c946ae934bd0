"""`issuelake problems`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from pipelines.cli import options as o
from pipelines.cli.options import DEFAULT_LIMIT
from pipelines.cli.output import ONE_LINE, RIGHT, Heading, console, print_json, severity, table

SHORT = 10
"""So many digits of a fingerprint are shown; as a rule they tell one from all others."""

AS_OF = Annotated[
    str | None,
    typer.Option("--as-of", metavar="DATE", help="As it was at the end of this day, or at this moment, UTC."),
]
SLA_DAYS = Annotated[
    list[str] | None,
    typer.Option(
        "--sla-days",
        metavar="SEVERITY=DAYS",
        help="How long such a problem may stay; may be given several times. [env: ISSUELAKE_SLA_DAYS]"
        " [default: critical=7, high=30, medium=90, low=180]",
    ),
]


def problems(
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            help="new, open, reopened, not_checked or fixed; may be given several times."
            " [default: all but fixed]",
        ),
    ] = None,
    severity: o.SEVERITY = None,
    plugin: o.PLUGIN = None,
    triage: Annotated[
        list[str] | None,
        typer.Option("--triage", help="none, accepted or false_positive; may be given several times."),
    ] = None,
    sla: Annotated[
        str | None, typer.Option("--sla", help="breached: too late; due: there is time left.")
    ] = None,
    sla_days: SLA_DAYS = None,
    as_of: AS_OF = None,
    limit: o.LIMIT = DEFAULT_LIMIT,
    offset: o.OFFSET = 0,
    storage: o.STORAGE = None,
    config: o.CONFIG = None,
    engine: o.ENGINE = "local",
    json: o.JSON = False,
) -> None:
    """List problems, the worst first: what became of each, what was decided, how long it may stay.

    **Examples**

    `issuelake problems --plugin requests`

    `issuelake problems --status new --status reopened --severity critical`

    `issuelake problems --sla breached --triage none --json`

    `issuelake problems --status fixed --as-of 2025-06-30`
    """
    from assets.problems.listing import Filters
    from assets.problems.listing import problems as listed
    from assets.problems.relation import Asked, moment_of
    from assets.problems.sla import sla_days as days_of
    from assets.problems.update import try_to_keep
    from pipelines.cli.opening import open_storage, opened_engine

    opened = open_storage(storage, config)
    lake = opened.backend
    asked = Asked(moment_of(as_of) if as_of else None, days_of(sla_days or ()))
    with opened_engine(engine, opened, storage, config) as workers:
        try_to_keep(lake, workers)
    filters = Filters(status or (), severity or (), plugin, triage or (), sla, limit, offset)
    page = listed(lake, filters, asked)
    if json:
        print_json(
            {
                "problems": page.problems,
                "total_count": page.total,
                "returned_count": len(page.problems),
                "limit": limit,
                "offset": offset,
            }
        )
        return
    first = offset + 1 if page.problems else 0
    title = f"{first}–{offset + len(page.problems)} of {page.total} problems"
    console().print(_table(title, page.problems, plugin is None))


def _table(title: str, found: list[dict[str, Any]], with_plugin: bool) -> Table:
    columns: list[Heading] = [
        ("Id", ONE_LINE),
        ("Severity", ONE_LINE),
        ("Status", ONE_LINE),
        *([("Plugin", ONE_LINE)] if with_plugin else []),
        ("Problem", {"overflow": "fold"}),
        ("Left", RIGHT | ONE_LINE),
    ]
    rows = [
        [
            problem["fingerprint"][:SHORT],
            severity(problem["severity"]),
            problem["status"],
            *([problem["target_plugin"]] if with_plugin else []),
            f"{problem['file_path'] or ''}  {problem['description']}".strip(),
            _left(problem),
        ]
        for problem in found
    ]
    return table(title, columns, rows)


def _left(problem: dict[str, Any]) -> Text:
    """How many days are left, or what was decided."""
    days = problem["sla_days_left"]
    if problem["triage"] != "none":
        return Text(problem["triage"].replace("_", " "))
    return Text("" if days is None else f"{days:.0f} d", "" if days is None or days >= 0 else "red")
