"""The options that several commands share, each declared once."""

from __future__ import annotations

from typing import Annotated

import typer

from assets.query import DEFAULT_LIMIT, MAX_LIMIT

STORAGE = Annotated[
    str | None,
    typer.Option(
        "--storage",
        "-s",
        metavar="URL|FOLDER",
        help="The lake: a folder, or the URL of any fsspec storage. [default: the folder 'lake']",
        rich_help_panel="Storage",
    ),
]
CONFIG = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="A configuration file, YAML or JSON, instead of --storage. [env: ISSUELAKE_CONFIG]",
        rich_help_panel="Storage",
    ),
]
ENGINE = Annotated[
    str,
    typer.Option(
        "--engine",
        envvar="ISSUELAKE_ENGINE",
        metavar="ENGINE",
        help="Who does the work: local, or a cluster (dask://HOST:PORT, spark://HOST:PORT, spark:MASTER,"
        " sc://HOST:PORT); see docs/engines.md.",
        rich_help_panel="Storage",
    ),
]
JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
PLUGIN = Annotated[str | None, typer.Option("--plugin", "-p", help="Only this plugin's runs.")]
DATE_FROM = Annotated[
    str | None, typer.Option("--from", metavar="DATE", help="From this day or moment on, UTC.")
]
DATE_TO = Annotated[
    str | None, typer.Option("--to", "--until", metavar="DATE", help="Up to and with this day or moment.")
]
SEVERITY = Annotated[
    list[str] | None, typer.Option("--severity", help="Only this severity; may be given several times.")
]
MIN_SEVERITY = Annotated[str | None, typer.Option("--min-severity", help="This severity and worse.")]
CATEGORY = Annotated[
    list[str] | None, typer.Option("--category", help="Only this category; may be given several times.")
]
FILE_PATH = Annotated[str | None, typer.Option("--file-path", metavar="GLOB", help="Only paths that match.")]
RUN_ID = Annotated[str | None, typer.Option("--run-id", help="Only this run.")]
FINGERPRINT = Annotated[str | None, typer.Option("--fingerprint", help="Only this problem, in every run.")]
WHERE = Annotated[
    str | None,
    typer.Option("--where", metavar="EXPRESSION", help="A condition over an issue's columns, as in SQL."),
]
SORT = Annotated[
    str | None,
    typer.Option("--sort", metavar="COLUMNS", help="Columns, comma-separated; '-' before one reverses it."),
]
LIMIT = Annotated[int, typer.Option("--limit", "-n", min=1, max=MAX_LIMIT, help="How many at most.")]
OFFSET = Annotated[int, typer.Option("--offset", min=0, help="How many to skip first.")]

__all__ = [
    "CATEGORY",
    "CONFIG",
    "DATE_FROM",
    "DATE_TO",
    "DEFAULT_LIMIT",
    "ENGINE",
    "FILE_PATH",
    "FINGERPRINT",
    "JSON",
    "LIMIT",
    "MIN_SEVERITY",
    "OFFSET",
    "PLUGIN",
    "RUN_ID",
    "SEVERITY",
    "SORT",
    "STORAGE",
    "WHERE",
]
