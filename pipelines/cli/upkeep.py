"""`issuelake rejected`, `compact`, `schema`, `version`."""

from __future__ import annotations

import sys
from datetime import date, timedelta
from typing import Annotated

import typer

from pipelines.cli.options import CONFIG, ENGINE, JSON, STORAGE
from pipelines.cli.output import ONE_LINE, Heading, console, print_json, safe, table
from resources.errors import UsageError

REJECTED_ID = Annotated[
    str, typer.Argument(metavar="ID", help="The id, or the beginning of it, as `list` shows it.")
]

rejected = typer.Typer(
    no_args_is_help=True,
    help="List, show and take in again what was rejected. Nothing rejected is ever thrown away.",
)


@rejected.command("list")
def list_rejected(storage: STORAGE = None, config: CONFIG = None, json: JSON = False) -> None:
    """List what was rejected: which file, where in it, and the rule it breaks.

    **Example**

    `issuelake rejected list`
    """
    from pipelines.cli.opening import open_storage

    waiting = open_storage(storage, config).backend.rejected()
    if json:
        print_json({"rejected": waiting, "count": len(waiting)})
        return
    folded = {"overflow": "fold"}
    columns: list[Heading] = [("Id", ONE_LINE), "File", ("Place", folded), ("Rule", folded)]
    rows = [[r.rejected_id, _where(r.source, r.position), r.pointer, r.rule] for r in waiting]
    console().print(table(f"{len(waiting)} rejected", columns, rows))


@rejected.command("show")
def show_rejected(
    rejected_id: REJECTED_ID, storage: STORAGE = None, config: CONFIG = None, json: JSON = False
) -> None:
    """Show why one was rejected, and print its bytes as they came.

    **Example**

    `issuelake rejected show 3f2a > mend-me.json`
    """
    from assets.rejected import find
    from pipelines.cli.opening import open_storage

    lake = open_storage(storage, config).backend
    found = find(lake, rejected_id)
    content = lake.rejected_bytes(found)
    if json:
        print_json({"rejected": found, "content": content.decode("utf-8", "backslashreplace")})
        return
    print(
        f"{safe(found.reason)}  ({found.bytes} bytes, {found.rejected_at:%Y-%m-%d %H:%M} UTC)",
        file=sys.stderr,
    )
    if sys.stdout.isatty():
        text = content.decode("utf-8", "backslashreplace")
        print("\n".join(safe(line) for line in text.splitlines()))
    else:
        sys.stdout.buffer.write(content)


@rejected.command("replay")
def replay_rejected(
    rejected_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID…]", help="Which; all without.")
    ] = None,
    mended: Annotated[
        typer.FileBinaryRead | None,
        typer.Option("--mended", metavar="FILE", help="Take this file's bytes in place of the kept ones."),
    ] = None,
    storage: STORAGE = None,
    config: CONFIG = None,
    json: JSON = False,
) -> None:
    """Take rejected deliveries in again after the cause is mended; what is still refused stays.

    **Examples**

    `issuelake rejected replay`

    `issuelake rejected replay 3f2a --mended mend-me.json`
    """
    from assets.rejected import replay
    from pipelines.cli.opening import open_storage

    opened = open_storage(storage, config)
    done = replay(opened.backend, rejected_ids or (), mended.read() if mended else None)
    if json:
        print_json(
            {
                "tried": done.tried,
                "taken": done.taken,
                "runs_stored": done.runs_stored,
                "duplicates": done.duplicates,
                "issues_stored": done.issues_stored,
                "still_rejected": done.refused,
                "storage_backend_used": opened.used,
            }
        )
    else:
        for reason in done.refused:
            print(f"still rejected  {safe(reason)}", file=sys.stderr)
        print(f"{done.taken} of {done.tried} taken in: {done.runs_stored} runs, {done.duplicates} duplicates")
    if done.refused:
        raise typer.Exit(1)


def compact(
    day: Annotated[
        str | None, typer.Option("--day", metavar="DATE", help="Only this day; all without.")
    ] = None,
    grace: Annotated[
        float,
        typer.Option(min=0, metavar="MINUTES", help="How long replaced files stay for readers at work."),
    ] = 60.0,
    storage: STORAGE = None,
    config: CONFIG = None,
    engine: ENGINE = "local",
    json: JSON = False,
) -> None:
    """Make one sorted file of each day's files. Answers do not change; reading gets quicker.

    **Examples**

    `issuelake compact`

    `issuelake compact --day 2025-08-29 --grace 0`

    `issuelake compact --storage s3://team/issues --engine dask://scheduler:8786`
    """
    from rich.console import Console
    from rich.progress import Progress

    from assets.upkeep import maintain
    from pipelines.cli.opening import open_storage, opened_engine

    opened = open_storage(storage, config)
    lake = opened.backend
    period = timedelta(minutes=grace)
    try:
        chosen = None if day is None else date.fromisoformat(day)
    except ValueError:
        raise UsageError(f"--day {day} is not a date like 2025-08-29.") from None
    if chosen is not None:
        done = [lake.compact_day(chosen, period)]
    else:
        total = len(lake.days())
        with Progress(console=Console(stderr=True), transient=True, disable=json) as progress:
            task = progress.add_task("Compacting days", total=total)
            with opened_engine(engine, opened, storage, config) as workers:
                done = maintain(workers, lake, period, lambda _: progress.advance(task)).days
    written = [c for c in done if c.written]
    before, after = sum(c.files_before for c in done), sum(c.files_after for c in done)
    if json:
        print_json({"days": done, "days_written": len(written), "files_before": before, "files_after": after})
        return
    print(f"{len(done)} days looked at, {len(written)} written: {before} files before, {after} now")


def schema() -> None:
    """Print the JSON Schema of a run file.

    **Example**

    `issuelake schema > run-file.schema.json`
    """
    from resources.schema import json_schema

    print_json(json_schema())


def version(json: JSON = False) -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    number = installed("issuelake")
    if json:
        print_json({"version": number})
    else:
        print(number)


def _where(source: str, position: int | None) -> str:
    return source if position is None else f"{source}:{position}"
