"""`issuelake reconcile`, `issuelake ledger`: what one backend holds for another, and handing it over."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.options import CONFIG, JSON
from pipelines.cli.output import ONE_LINE, RIGHT, Heading, console, print_json, safe, table
from resources.errors import UsageError

if TYPE_CHECKING:
    from resources.selection.chain import Chain
    from resources.selection.ledger import Entry

ledger = typer.Typer(
    no_args_is_help=True,
    help="What was written to another backend than it belongs to, and has not been copied there since.",
)


def reconcile(config: CONFIG = None, json: JSON = False) -> None:
    """Copy what is owed to backends that are well again, verify it, and strike it off the ledger.

    It can be interrupted and begun again, and two at once do no harm. Exits with 1 where something
    is still owed.

    **Example**

    `issuelake reconcile --config storages.yaml`
    """
    from rich.console import Console
    from rich.progress import Progress

    from resources.selection.reconcile import reconcile as pay

    chain = _chain(config)
    total = len(chain.ledger.entries())
    with Progress(console=Console(stderr=True), transient=True, disable=json or not total) as progress:
        task = progress.add_task("Reconciling", total=total)
        done = pay(chain, lambda _: progress.advance(task))
    if json:
        print_json(done)
    else:
        for problem in done.problems:
            print(f"still owed  {safe(problem)}", file=sys.stderr)
        print(
            f"{done.struck} of {done.struck + done.left} entries settled: {done.runs_copied} runs copied,"
            f" {done.runs_deleted} deleted"
        )
    if done.left:
        raise typer.Exit(1)


@ledger.command("list")
def list_entries(config: CONFIG = None, json: JSON = False) -> None:
    """List what is owed to which backend, since when, and who holds it.

    **Example**

    `issuelake ledger list --config storages.yaml`
    """
    entries = _chain(config).ledger.entries()
    if json:
        print_json({"entries": [_document(entry) for entry in entries], "count": len(entries)})
        return
    columns: list[Heading] = [
        ("Since", ONE_LINE),
        "Owed to",
        "What",
        ("Runs", RIGHT),
        "Held by",
    ]
    rows = [[f"{e.at:%Y-%m-%d %H:%M:%S}", e.owed_to, e.kind, len(e.runs), e.held_by or "-"] for e in entries]
    console().print(table(f"{len(entries)} entries", columns, rows))


@ledger.command("hand-over")
def hand_over(
    owed_to: Annotated[str, typer.Argument(metavar="FROM", help="The backend that is owed, as listed.")],
    other: Annotated[str, typer.Argument(metavar="TO", help="A configured backend that gets it instead.")],
    config: CONFIG = None,
    json: JSON = False,
) -> None:
    """Owe to TO what is owed to FROM, which is not configured any more or has moved.

    **Example**

    `issuelake ledger hand-over old_postgresql postgresql`
    """
    chain = _chain(config)
    member = chain.member(other)
    if member is None:
        known = ", ".join(member.name for member in chain.members)
        raise UsageError(f"There is no backend {other!r} in use; there are {known}.")
    entries = [entry for entry in chain.ledger.entries() if entry.owed_to == owed_to]
    for entry in entries:
        if entry.held_by == other:  # which has it, so nothing is owed
            chain.ledger.strike(entry)
        else:
            chain.ledger.hand_over(entry, other, member.place)
    if json:
        print_json({"handed_over": len(entries)})
    else:
        print(f"{len(entries)} entries are owed to {other} now; `issuelake reconcile` pays them")


def _chain(config: str | None) -> Chain:
    from resources.config import Opened, configuration, configured

    chain = Opened(configured(configuration(None, config))).chain
    if chain is None:
        raise UsageError(
            "Nothing can be owed where one backend is all there is; give --config or ISSUELAKE_CONFIG with"
            " storage_backend: auto and several backends, or failover: true."
        )
    return chain


def _document(entry: Entry) -> dict[str, object]:
    return {
        "entry_id": entry.entry_id,
        "kind": entry.kind,
        "at": entry.at.isoformat().replace("+00:00", "Z"),
        "owed_to": entry.owed_to,
        "owed_place": entry.owed_place,
        "held_by": entry.held_by or None,
        "held_place": entry.held_place or None,
        "runs": [run.run_id for run in entry.runs],
    }
