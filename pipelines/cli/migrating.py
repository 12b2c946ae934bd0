"""`issuelake migrate`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.actor import current_user
from pipelines.cli.options import JSON
from pipelines.cli.output import print_json, safe
from resources.errors import UsageError

if TYPE_CHECKING:
    from assets.migration import Amount, Migrated, Progress
    from resources.backend import Backend

_PLACE = "FOLDER|URL|FILE[#NAME]"


def migrate(
    source: Annotated[str, typer.Option("--from", metavar=_PLACE, help="Where the runs are.")],
    target: Annotated[str, typer.Option("--to", metavar=_PLACE, help="Where they shall be.")],
    move: Annotated[
        bool, typer.Option("--move", help="Delete in the first what has been copied and compared.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only compare, and count what would be copied.")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="Who moves. [default: the user of this system]"),
    ] = None,
    json: JSON = False,
) -> None:
    """Copy everything from one storage to another, whatever the two are, and compare it there.

    Runs with their issues, the records of deletions, rejected deliveries and daily summaries. A
    storage is a folder, an fsspec URL, or a configuration file; `#NAME` behind the file takes that
    backend of it. Interrupted or run twice it goes on where it was. Exits with 1 where days were
    changed by others to the last; run it once more.

    **Examples**

    `issuelake migrate --from lake --to s3://team/issues`

    `issuelake migrate --from lake --to config.yaml#postgresql --dry-run`

    `issuelake migrate --from config.yaml#database_factory.sqlite --to config.yaml#postgresql --move`
    """
    from assets import migration
    from pipelines.opening import open_configured
    from resources.place import named

    if move and dry_run:
        raise UsageError("--move and --dry-run exclude each other: leave one of them out.")
    first, second = named(source), named(target)
    opened = open_configured(first).backend, open_configured(second).backend
    _check_source(opened[0])
    with _progress(quiet=json) as progress:
        actor = current_user() if by is None else by
        done = migration.migrate(*opened, actor, dry_run=dry_run, move=move, progress=progress)
    if json:
        print_json({"from": opened[0].url, "to": opened[1].url, "dry_run": dry_run, **_document(done)})
    else:
        _tell(done, dry_run)
        print(f"{safe(opened[0].url)} → {safe(opened[1].url)} in {done.seconds:.1f} s")
    if done.still_changing:
        raise typer.Exit(1)


def _check_source(backend: Backend) -> None:
    """Raises `UsageError` where there is nothing at all, as where a name is misspelt."""
    if not (backend.days() or backend.deletions() or backend.rejected()):
        raise UsageError(f"There is nothing in {backend.url}: look whether --from is right.")


def _document(done: Migrated) -> dict[str, object]:
    return {
        "days": done.days,
        "days_skipped": done.days_skipped,
        "runs": done.found.runs,
        "issues": done.found.issues,
        "runs_copied": done.copied.runs,
        "issues_copied": done.copied.issues,
        "newer_in_target": done.newer_in_target,
        "deleted_in_target": done.deleted_in_target,
        "deletions": done.deletions,
        "rejected": done.rejected,
        "summaries": done.summaries,
        "runs_removed": done.removed.runs,
        "issues_removed": done.removed.issues,
        "still_changing": done.still_changing,
        "seconds": done.seconds,
    }


def _tell(done: Migrated, dry_run: bool) -> None:
    would = "would be copied" if dry_run else "copied and compared"
    print(
        f"{done.copied.runs} runs with {done.copied.issues} issues {would};"
        f" {done.days_skipped} of {done.days} days were there"
    )
    if not dry_run:
        print(f"{done.deletions} deletions, {done.rejected} rejected, {done.summaries} summaries")
    if done.newer_in_target or done.deleted_in_target:
        print(f"{done.newer_in_target} runs are newer there, {done.deleted_in_target} were deleted there")
    if done.removed.runs:
        print(f"{done.removed.runs} runs with {done.removed.issues} issues deleted where they came from")
    if done.still_changing:
        days = ", ".join(map(str, done.still_changing))
        print(f"Still being changed by others: {days}; run this once more.", file=sys.stderr)


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress | None]:
    """A bar with rate and time left, on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.fields[runs]} runs"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} issues"),
        TextColumn("{task.fields[rate]}/s"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("issues", total=0, runs=0, rate="-")

        def show(done: Amount, total: Amount) -> None:
            speed = bar.tasks[task].speed
            rate = "-" if speed is None else f"{speed:.0f}"
            bar.update(task, completed=done.issues, total=total.issues, runs=done.runs, rate=rate)

        yield show
