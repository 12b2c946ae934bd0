"""`issuelake accept`, `false-positive`, `reopen` and `triage`."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.actor import current_user
from pipelines.cli.options import CONFIG, JSON, STORAGE
from pipelines.cli.output import ONE_LINE, Heading, console, print_json, safe, table
from pipelines.cli.problems import SHORT
from resources.errors import UsageError

if TYPE_CHECKING:
    from assets.problems.triage import Decision, Verdict

FINGERPRINTS = Annotated[
    list[str],
    typer.Argument(
        metavar="FINGERPRINT…", help="Which, or the beginning of it, as `issuelake problems` shows it."
    ),
]
REASON = Annotated[str, typer.Option("--reason", "-r", help="Why; kept for good.")]
UNTIL = Annotated[
    str | None,
    typer.Option("--until", metavar="DATE", help="The last day on which it holds. [default: for good]"),
]
BY = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who decides. [default: the user of this system]")
]


def accept(
    fingerprints: FINGERPRINTS,
    reason: REASON,
    until: UNTIL = None,
    by: BY = None,
    storage: STORAGE = None,
    config: CONFIG = None,
    json: JSON = False,
) -> None:
    """Accept problems as they are, for good or until a day; gates and SLAs leave them out.

    The decision outlives every import. After the day the problem is back where it was.

    **Examples**

    `issuelake accept 3f2a9c --reason "behind the firewall" --until 2026-12-31`

    `issuelake accept 3f2a9c 77b0e1 --reason "risk 118" --by "the security board"`
    """
    _decide("accepted", fingerprints, reason, until, by, storage, config, json)


def false_positive(
    fingerprints: FINGERPRINTS,
    reason: REASON,
    until: UNTIL = None,
    by: BY = None,
    storage: STORAGE = None,
    config: CONFIG = None,
    json: JSON = False,
) -> None:
    """Say that problems are none: the validator is wrong about them.

    **Example**

    `issuelake false-positive 3f2a9c --reason "the text is a constant"`
    """
    _decide("false_positive", fingerprints, reason, until, by, storage, config, json)


def reopen(
    fingerprints: FINGERPRINTS,
    reason: REASON,
    by: BY = None,
    storage: STORAGE = None,
    config: CONFIG = None,
    json: JSON = False,
) -> None:
    """Take back what was decided about problems; the earlier decision stays on record.

    **Example**

    `issuelake reopen 3f2a9c --reason "the firewall is gone"`
    """
    _decide("reopened", fingerprints, reason, None, by, storage, config, json)


triage = typer.Typer(
    no_args_is_help=True,
    help="List, export and take in what was decided about problems. Nothing is ever lost.",
)


@triage.command("list")
def list_decisions(storage: STORAGE = None, config: CONFIG = None, json: JSON = False) -> None:
    """List every decision that was ever made, newest first, and whether it holds.

    **Example**

    `issuelake triage list --json`
    """
    from assets.problems.triage import made, standing
    from pipelines.cli.opening import open_storage

    decisions = made(open_storage(storage, config).backend.files)
    states = standing(decisions, datetime.now(UTC))
    newest_first = list(reversed(list(zip(decisions, states, strict=True))))
    if json:
        documents = [{**_document(decision), "state": state} for decision, state in newest_first]
        print_json({"decisions": documents, "count": len(documents)})
        return
    columns: list[Heading] = [
        ("When (UTC)", ONE_LINE),
        ("Id", ONE_LINE),
        ("Decision", ONE_LINE),
        ("Until", ONE_LINE),
        ("State", ONE_LINE),
        "By",
        ("Reason", {"overflow": "fold"}),
    ]
    rows = [
        [
            f"{d.decided_at:%Y-%m-%d %H:%M}",
            d.fingerprint[:SHORT],
            d.decision,
            d.until,
            state,
            d.actor,
            d.reason,
        ]
        for d, state in newest_first
    ]
    console().print(table(f"{len(rows)} decisions", columns, rows))


@triage.command("export")
def export_decisions(
    to: Annotated[
        str, typer.Option("--to", metavar="FILE|-", help="Where to; '-' for standard output.")
    ] = "-",
    storage: STORAGE = None,
    config: CONFIG = None,
) -> None:
    """Write every decision as YAML, oldest first, for `triage import` elsewhere.

    **Example**

    `issuelake triage export --to decisions.yaml`
    """
    import yaml

    from assets.problems.triage import made
    from pipelines.cli.opening import open_storage

    documents = [_document(decision) for decision in made(open_storage(storage, config).backend.files)]
    text = yaml.safe_dump(documents, sort_keys=False, allow_unicode=True, width=2**30)
    if to == "-":
        sys.stdout.buffer.write(text.encode())
        return
    try:
        Path(to).write_text(text, "utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"Could not write the decisions to {to}: {error}.") from error
    print(f"{len(documents)} decisions written to {safe(to)}")


@triage.command("import")
def import_decisions(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="YAML or JSON as `triage export` writes it.")],
    storage: STORAGE = None,
    config: CONFIG = None,
    json: JSON = False,
) -> None:
    """Take in decisions that were made elsewhere; those that are known change nothing.

    **Example**

    `issuelake triage import decisions.yaml --storage s3://team/issues`
    """
    from assets.problems.triage import decisions_of, take_in
    from pipelines.cli.opening import open_storage
    from pipelines.operations.plain_yaml import from_yaml

    document = from_yaml(read(file, "the decisions"), file, "list of decisions")
    decisions = decisions_of(document, file)
    taken = take_in(open_storage(storage, config).backend.files, decisions)
    if json:
        print_json({"decisions": len(decisions), "taken": taken})
    else:
        print(f"{taken} of {len(decisions)} decisions taken in, the others were known")


def read(file: str, what: str) -> bytes:
    """What `file` holds, '-' being standard input. Raises `UsageError`."""
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"Could not read {what} from {file!r}: {reason}.") from error


def _decide(
    decision: Verdict,
    beginnings: list[str],
    reason: str,
    until: str | None,
    by: str | None,
    storage: str | None,
    config: str | None,
    json: bool,
) -> None:
    from assets.problems.listing import find
    from assets.problems.triage import decide
    from pipelines.cli.opening import open_storage

    try:
        last = None if until is None else date.fromisoformat(until)
    except ValueError:
        raise UsageError(f"--until {until} is not a date like 2025-08-29.") from None
    lake = open_storage(storage, config).backend
    found = {problem["fingerprint"]: problem for problem in find(lake, beginnings)}
    decided = decide(lake.files, found, decision, reason, current_user() if by is None else by, last)
    if json:
        print_json({"decisions": [_document(d) for d in decided], "count": len(decided)})
        return
    for one in decided:
        what = f"{decision.replace('_', ' ')}{f' until {last}' if last else ''}"
        print(f"{one.fingerprint[:SHORT]}  {what}  {safe(found[one.fingerprint]['description'])}")


def _document(decision: Decision) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(decision)
    return document
