"""`issuelake publish`."""

from __future__ import annotations

import sys
from datetime import date
from typing import Annotated

import typer

from pipelines.cli.options import CONFIG, JSON, STORAGE
from pipelines.cli.output import print_json, safe


def publish(
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FOLDER|URL|catalog://NAME",
            help="Where the tables shall be. Iceberg: a folder, or a catalogue that pyiceberg knows;"
            " Delta: a folder or the URL of an object store.",
        ),
    ],
    format: Annotated[str, typer.Option("--format", "-f", help="iceberg or delta.")],
    storage: STORAGE = None,
    config: CONFIG = None,
    json: JSON = False,
) -> None:
    """Bring tables `runs` and `issues` of Iceberg or Delta to what the lake holds now.

    Iceberg refers to the lake's files, Delta gets copies. Days that are not one file are compacted
    first. Run it again after every compaction: what was replaced goes from the tables.

    **Examples**

    `issuelake publish --format iceberg --to tables`

    `issuelake publish --format iceberg --to catalog://prod --storage s3://team/issues`

    `issuelake publish --format delta --to s3://team/delta`
    """
    from assets import publishing
    from pipelines.cli.opening import open_storage

    def tell(day: date) -> None:
        print(f"compacted {day}", file=sys.stderr)

    backend = open_storage(storage, config).backend
    done = publishing.publish(backend, format, to, None if json else tell)
    if json:
        print_json({"format": format, "tables": done})
        return
    for table in done:
        print(
            f"{table.table}: {table.rows} rows in {table.files} files"
            f" (+{table.files_added} −{table.files_removed}) → {safe(table.place)}"
        )
