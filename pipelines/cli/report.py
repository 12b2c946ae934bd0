"""`issuelake report`."""

from __future__ import annotations

import sys
from datetime import date
from typing import Annotated

import typer

from pipelines.cli import options as o
from pipelines.cli.output import print_json, safe
from pipelines.cli.problems import SLA_DAYS
from pipelines.cli.trend import day_of
from resources.destination import STANDARD_OUTPUT
from resources.errors import UsageError


def report(
    to: Annotated[
        str,
        typer.Option("--to", metavar="PATH|URL|-", help="Where to; '-' for standard output."),
    ],
    format: Annotated[
        str | None,
        typer.Option("--format", "-f", help="html or pdf. [default: as the suffix of --to says, else html]"),
    ] = None,
    date_from: Annotated[
        str | None,
        typer.Option("--from", metavar="DAY", help="From this day on, UTC. [default: a week]"),
    ] = None,
    date_to: Annotated[
        str | None,
        typer.Option(
            "--to-date",
            "--until",
            metavar="DAY",
            help="Up to and with this day. [default: the newest with runs]",
        ),
    ] = None,
    plugin: o.PLUGIN = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="DATE",
            help="Ages, SLA and triage as of the end of this day, or this moment, UTC. [default: the end of"
            " --to-date, or else the newest run or decision]",
        ),
    ] = None,
    sla_days: SLA_DAYS = None,
    manifest: Annotated[
        bool,
        typer.Option("--manifest", help="Also write what it was made of, to --to with .manifest.json."),
    ] = False,
    storage: o.STORAGE = None,
    config: o.CONFIG = None,
    json: o.JSON = False,
) -> None:
    """Write a report that people like to open: one HTML file that works offline, or a PDF.

    How the days went, against as many days before them, and every problem that is open at their end. The
    same storage and selection give the same bytes.

    **Examples**

    `issuelake report --to report.html`

    `issuelake report --to s3://team/july.pdf --plugin requests --from 2025-07-01 --to-date 2025-07-31`

    `issuelake report --to report.html --manifest --as-of 2025-08-29`
    """
    from assets.problems.relation import moment_of
    from assets.problems.sla import sla_days as days_of
    from assets.report.selection import select
    from assets.report.writing import choose, make, place
    from pipelines.cli.opening import open_storage

    if to == STANDARD_OUTPUT and json:
        raise UsageError("--json and --to - both want standard output; write to a file instead.")
    chosen = choose(format, to)
    if to == STANDARD_OUTPUT and manifest:
        raise UsageError("A manifest is written beside a file; standard output has no place for it.")
    if to == STANDARD_OUTPUT and sys.stdout.isatty():
        raise UsageError("A report is not for a terminal: redirect it into a file, or name one with --to.")
    first, last = _day("--from", date_from), _day("--to-date", date_to)
    moment = moment_of(as_of) if as_of else None
    opened = open_storage(storage, config)
    asked = select(opened.backend, days_of(sla_days or ()), first, last, plugin, moment)
    made = make(opened.backend, asked, chosen)
    path = place(opened.backend, made, to, manifest)
    if json:
        print_json(
            {
                "path": path,
                "format": chosen,
                "from": asked.first,
                "to": asked.last,
                "as_of": asked.as_of,
                "plugin": plugin,
                "open": made.figures.open,
                "bytes": len(made.content),
                "sha256": made.sha256,
            }
        )
        return
    print(
        f"{asked.first} to {asked.last}, {made.figures.open} open problems, {len(made.content)} bytes"
        f" → {safe(path)}",
        file=sys.stderr if to == STANDARD_OUTPUT else sys.stdout,
    )


def _day(option: str, text: str | None) -> date | None:
    return day_of(option, text) if text else None
