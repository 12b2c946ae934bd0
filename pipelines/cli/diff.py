"""`issuelake diff`."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.cli import options as o
from pipelines.cli.output import RIGHT, STYLES, Heading, console, issue_table, print_json, table
from resources.schema import SEVERITIES

if TYPE_CHECKING:
    from assets.problems.diff import Diff

_SHOWN = 30


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    SARIF = "sarif"


def diff(
    before: Annotated[
        str, typer.Argument(metavar="A", help="A run id, a date or moment, 'latest' or 'previous'.")
    ],
    after: Annotated[str, typer.Argument(metavar="B", help="The same; what is compared with A.")],
    plugin: o.PLUGIN = None,
    format: Annotated[
        Format,
        typer.Option(
            "--format", "-f", help="markdown is for a pull request, sarif has what is new and nothing else."
        ),
    ] = Format.TABLE,
    storage: o.STORAGE = None,
    config: o.CONFIG = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Compare two runs of a plugin, or of every plugin: new, fixed, moved, unchanged.

    A date means each plugin's newest run up to its end. An issue that is now in another file and
    otherwise the same has moved, and is neither new nor fixed.

    **Examples**

    `issuelake diff previous latest --plugin requests`

    `issuelake diff 2025-06-30 latest --format markdown > comment.md`

    `issuelake diff run-17 run-18 --format sarif > new.sarif`
    """
    from assets.problems import diff_documents
    from assets.problems.diff import diff as compare
    from pipelines.cli.opening import open_storage

    found = compare(open_storage(storage, config).backend, before, after, plugin)
    if json or format is Format.JSON:
        print_json(diff_documents.document(found))
    elif format is Format.MARKDOWN:
        sys.stdout.buffer.write(diff_documents.markdown(found).encode())
    elif format is Format.SARIF:
        sys.stdout.buffer.write(diff_documents.sarif(found))
    else:
        _show(console(), found)


def _show(out: Console, found: Diff) -> None:
    columns: list[Heading] = ["", ("All", RIGHT), *((s.capitalize(), RIGHT) for s in SEVERITIES)]
    rows = [
        [kind.replace("_", " "), *(counts[name] for name in ("total", *SEVERITIES))]
        for kind, counts in found.counts.items()
    ]
    out.print(table(f"{found.before} → {found.after}, {len(found.runs)} plugins", columns, rows))
    for title, issues, style in (
        ("New", found.new, STYLES["high"]),
        ("Fixed", found.fixed, "green"),
        ("Moved", [after for _, after in found.moved], ""),
    ):
        if issues:
            out.print()
            out.print(f"{title}", style=style, markup=False)
            out.print(issue_table("", issues[:_SHOWN], with_run=False))
        if len(issues) > _SHOWN:
            out.print(f"… and {len(issues) - _SHOWN} more: --json has them all", markup=False)
