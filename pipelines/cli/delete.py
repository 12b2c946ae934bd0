"""`issuelake delete` and `deletions`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.prompt import Confirm
from rich.text import Text

from assets.query import parse
from pipelines.actor import current_user
from pipelines.cli import options as o
from pipelines.cli.output import ONE_LINE, RIGHT, Heading, console, print_json, safe, table
from resources.errors import UsageError


def delete(
    plugin: o.PLUGIN = None,
    run_id: o.RUN_ID = None,
    date_from: o.DATE_FROM = None,
    date_to: o.DATE_TO = None,
    everything: Annotated[bool, typer.Option("--all", help="Every run there is.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="Who deletes. [default: the user of this system]"),
    ] = None,
    storage: o.STORAGE = None,
    config: o.CONFIG = None,
    json: o.JSON = False,
) -> None:
    """Delete whole runs with all their issues.

    They are gone for every reader at once, and from the disk with the next compaction after its
    grace period. Who deleted what and when stays written down: `issuelake deletions`.

    **Examples**

    `issuelake delete --plugin old-plugin --dry-run`

    `issuelake delete --to 2023-12-31 --yes --by "ann"`
    """
    from assets import deletion
    from pipelines.cli.opening import open_storage

    opened = open_storage(storage, config)
    keys = {"plugin_name": plugin, "run_id": run_id, "date_from": date_from, "date_to": date_to}
    given = {key: value for key, value in keys.items() if value is not None}
    query = parse({**given, "all": everything})
    counting = parse({**given, "all": everything, "dry_run": True})
    actor = current_user() if by is None else by
    if not (dry_run or yes):
        counted = deletion.delete(opened, counting, actor)["issues_data"]
        if not sys.stdin.isatty():
            raise UsageError(
                f"This would delete {_counts(counted)}; where nobody can be asked, --yes says that it may."
            )
        if not _confirmed(f"Delete {_counts(counted)} from {safe(opened.backend.url)}?"):
            print("Nothing was deleted.", file=sys.stderr)
            raise typer.Exit(1)
    answer = deletion.delete(opened, counting if dry_run else query, actor)
    if json:
        print_json(answer)
        return
    print(f"{_counts(answer['issues_data'])} {'would be deleted' if dry_run else 'deleted'}")


def deletions(storage: o.STORAGE = None, config: o.CONFIG = None, json: o.JSON = False) -> None:
    """List what was deleted: when, by whom, what was asked for, and how much went.

    **Example**

    `issuelake deletions --json`
    """
    from pipelines.cli.opening import open_storage

    found = open_storage(storage, config).backend.deletions()
    if json:
        print_json({"deletions": found, "count": len(found)})
        return
    columns: list[Heading] = [("When (UTC)", ONE_LINE), "By", "What", ("Runs", RIGHT), ("Issues", RIGHT)]
    rows = [
        [
            f"{d.deleted_at:%Y-%m-%d %H:%M}",
            d.actor,
            " ".join(f"{key}={value}" for key, value in (d.query or {}).items()),
            d.runs_deleted,
            d.issues_deleted,
        ]
        for d in found
    ]
    console().print(table(f"{len(found)} deletions", columns, rows))


def _confirmed(question: str) -> bool:
    # Asked on standard error, so that standard output stays one document; typer's writes to both.
    try:
        return Confirm.ask(Text(question), console=Console(stderr=True), default=False)
    except EOFError:
        return False


def _counts(data: dict[str, int]) -> str:
    return f"{data['runs_deleted']} runs with {data['issues_deleted']} issues"
