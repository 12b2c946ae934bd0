"""`issuelake bundle`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipelines.cli import options as o
from pipelines.cli.export import TEXT, UNTIL, check_destination
from pipelines.cli.output import print_json, safe
from pipelines.cli.reading import query_of
from resources.destination import STANDARD_OUTPUT


def bundle(
    to: Annotated[
        str,
        typer.Option("--to", metavar="PATH|URL|-", help="Where to write the zip; '-' for standard output."),
    ],
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
    storage: o.STORAGE = None,
    config: o.CONFIG = None,
    json: o.JSON = False,
) -> None:
    """Write a zip to hand over: Parquet, a DuckDB file, a report, a manifest and a README.

    Who gets it needs nothing of ours to read it, and can check that nothing was changed. The same
    storage and selection give the same bytes. It appears whole, in place of an older one, or not at all.

    **Examples**

    `issuelake bundle --to audit.zip`

    `issuelake bundle --to s3://handover/2025-q3.zip --plugin billing --from 2025-07-01 --until 2025-09-30`
    """
    from assets.bundle import bundle as write
    from pipelines.cli.opening import open_storage

    check_destination(to, json, "A bundle", text=False)
    done = write(open_storage(storage, config), query_of(locals()), to)
    if json:
        print_json(done)
        return
    data = done["issues_data"]
    rows = data["rows"]
    print(
        f"{rows['runs']} runs, {rows['issues']} issues, {rows['problems']} problems as of {data['as_of']},"
        f" {data['bytes']} bytes → {safe(data['bundle_path'])}\nSHA-256 {data['sha256']}",
        file=sys.stderr if to == STANDARD_OUTPUT else sys.stdout,
    )
