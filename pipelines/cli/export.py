"""`issuelake export`."""

from __future__ import annotations

import re
import sys
from typing import Annotated

import typer

from assets.exports.formats import FORMATS, choose
from pipelines.cli import options as o
from pipelines.cli.output import print_json, safe
from pipelines.cli.reading import query_of
from resources.destination import STANDARD_OUTPUT
from resources.errors import UsageError

TEXT = Annotated[str | None, typer.Option(help="Words that description, recommendation or file path hold.")]
UNTIL = Annotated[
    str | None, typer.Option("--until", metavar="DATE", help="Up to and with this day or moment.")
]
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def export(
    to: Annotated[
        str,
        typer.Option("--to", metavar="PATH|URL|-", help="Where to; '-' for standard output."),
    ],
    format: Annotated[
        str | None,
        typer.Option("--format", "-f", help=f"{', '.join(FORMATS)}. [default: as the suffix of --to says]"),
    ] = None,
    manifest: Annotated[
        bool,
        typer.Option("--manifest", help="Also write what it was made of, to --to with .manifest.json."),
    ] = False,
    text: TEXT = None,
    plugin: o.PLUGIN = None,
    severity: o.SEVERITY = None,
    min_severity: o.MIN_SEVERITY = None,
    category: o.CATEGORY = None,
    file_path: o.FILE_PATH = None,
    run_id: o.RUN_ID = None,
    fingerprint: o.FINGERPRINT = None,
    where: o.WHERE = None,
    date_from: o.DATE_FROM = None,
    date_to: UNTIL = None,
    sort: o.SORT = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="How many at most. [default: all]")
    ] = None,
    offset: o.OFFSET = 0,
    storage: o.STORAGE = None,
    config: o.CONFIG = None,
    engine: o.ENGINE = "local",
    json: o.JSON = False,
) -> None:
    """Write issues to a file, a URL or standard output: all of them, in one of ten formats.

    The file appears whole, in place of an older one, or not at all.

    **Examples**

    `issuelake export --to issues.csv`

    `issuelake export --to s3://reports/high.sarif --plugin requests --min-severity high --manifest`

    `issuelake export --format ndjson --to - --from 2025-01-01 --until 2025-01-31 | wc -l`
    """
    from assets import exports
    from pipelines.cli.opening import open_storage, opened_engine

    chosen = choose(format, to)
    check_destination(to, json, chosen.name, chosen.text)
    query = query_of({name: value for name, value in locals().items() if name != "limit"})
    opened = open_storage(storage, config)
    with opened_engine(engine, opened, storage, config) as workers:
        done = exports.export(opened, query, format, to, manifest, limit=limit, engine=workers)
    if json:
        print_json(done)
        return
    data = done["issues_data"]
    print(
        f"{data['exported_count']} issues as {data['export_format']}, {data['bytes']} bytes"
        f" → {safe(data['export_path'])}",
        file=sys.stderr if to == STANDARD_OUTPUT else sys.stdout,
    )


def check_destination(to: str, json: bool, what: str, text: bool) -> None:
    """Refuse to write `what`, which is `text` or not, to where nobody can mean it. Raises `UsageError`."""
    if _DAY.fullmatch(to):
        raise UsageError(f"--to {to} looks like a day; --to says where to write, --until the last day.")
    if to == STANDARD_OUTPUT and json:
        raise UsageError("--json and --to - both want standard output; write to a file instead.")
    if to == STANDARD_OUTPUT and sys.stdout.isatty() and not text:
        raise UsageError(f"{what} is not for a terminal: redirect it into a file, or name one with --to.")
