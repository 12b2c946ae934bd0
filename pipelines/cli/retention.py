"""`issuelake retain`, `pin`, `unpin`, `pins`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.actor import current_user
from pipelines.cli.options import CONFIG, JSON, STORAGE
from pipelines.cli.output import ONE_LINE, RIGHT, Heading, console, print_json, safe, table

if TYPE_CHECKING:
    from assets.retention.pins import Pin

RUN_IDS = Annotated[
    list[str], typer.Argument(metavar="RUN_ID…", help="The ids of the runs.", show_default=False)
]
REASON = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stays written down.")]
BY = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", help="Who says so. [default: the user of this system]"),
]


def retain(
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            metavar="FILE|-",
            help="How many days runs are kept, YAML or JSON: docs/retention.md. [env: ISSUELAKE_RETENTION]",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would go.")] = False,
    storage: STORAGE = None,
    config: CONFIG = None,
    json: JSON = False,
) -> None:
    """Let runs go that neither the policy nor `max_history` of their backend keeps.

    Nothing goes that is pinned, owed to another backend, or the newest run of its plugin. Problems,
    trends and daily summaries stay what they are. The nightly maintenance of Dagster does the same.

    **Examples**

    `issuelake retain --policy retention.yaml --dry-run`

    `issuelake retain --config storages.yaml`
    """
    from assets.retention import rounds
    from assets.retention.rules import configured_policy, policy_of
    from pipelines.cli.triage import read
    from pipelines.opening import kept_open
    from pipelines.operations.plain_yaml import from_yaml
    from resources.config import configuration, configured

    rules = (
        configured_policy()
        if policy is None
        else policy_of(from_yaml(read(policy, "the policy"), policy, "policy"), policy)
    )
    done = rounds.retain(kept_open(configured(configuration(storage, config))), rules, dry_run)
    problems = [one.problem for one in done if one.problem is not None]
    if json:
        print_json({"dry_run": dry_run, "backends": done})
    else:
        for one in done:
            columns: list[Heading] = [
                ("Run", {"overflow": "fold"}),
                "Plugin",
                ("When (UTC)", ONE_LINE),
                ("Issues", RIGHT),
                "Rule",
            ]
            rows = [
                [r.validation_run_id, r.target_plugin, f"{r.timestamp:%Y-%m-%d %H:%M}", r.issues, r.rule]
                for r in one.leaving
            ]
            said = "would go" if dry_run else "to go" if one.problem else "gone"
            title = f"{safe(one.backend)}: {len(rows)} runs with {one.issues} issues {said}"
            if rows:
                console().print(table(title, columns, rows))
            else:
                print(title)
        for problem in problems:
            print(f"failed  {safe(problem)}", file=sys.stderr)
    if problems:
        raise typer.Exit(1)


def pin(
    run_ids: RUN_IDS,
    reason: REASON,
    by: BY = None,
    storage: STORAGE = None,
    config: CONFIG = None,
    json: JSON = False,
) -> None:
    """Keep runs from being retired, whatever the rules say. Who did so and why stays written down.

    **Example**

    `issuelake pin release-2.0 --reason "what we shipped"`
    """
    from assets.retention import pins as pinning
    from pipelines.cli.opening import open_storage

    actor = current_user() if by is None else by
    _tell(pinning.pin(open_storage(storage, config).backend, run_ids, reason, actor), "pinned", json)


def unpin(
    run_ids: RUN_IDS,
    reason: REASON,
    by: BY = None,
    storage: STORAGE = None,
    config: CONFIG = None,
    json: JSON = False,
) -> None:
    """Let the rules hold for pinned runs again.

    **Example**

    `issuelake unpin release-2.0 --reason "no longer supported"`
    """
    from assets.retention import pins as pinning
    from pipelines.cli.opening import open_storage

    actor = current_user() if by is None else by
    _tell(pinning.unpin(open_storage(storage, config).backend, run_ids, reason, actor), "unpinned", json)


def pins(
    everything: Annotated[
        bool, typer.Option("--all", help="Every pin and unpin that was ever made.")
    ] = False,
    storage: STORAGE = None,
    config: CONFIG = None,
    json: JSON = False,
) -> None:
    """List the runs that are pinned: since when, by whom, why.

    **Example**

    `issuelake pins --json`
    """
    from assets.retention import pins as pinning
    from pipelines.cli.opening import open_storage

    files = open_storage(storage, config).backend.files
    found = pinning.made(files) if everything else list(pinning.pinned(files).values())
    if json:
        print_json({"pins": found, "count": len(found)})
        return
    columns: list[Heading] = [("Run", {"overflow": "fold"}), "", ("When (UTC)", ONE_LINE), "By", "Why"]
    rows = [
        [
            p.validation_run_id,
            "pinned" if p.pinned else "unpinned",
            f"{p.pinned_at:%Y-%m-%d %H:%M}",
            p.actor,
            p.reason,
        ]
        for p in found
    ]
    console().print(table(f"{len(found)} pins", columns, rows))


def _tell(made: list[Pin], what: str, json: bool) -> None:
    if json:
        print_json({"pins": made, "count": len(made)})
        return
    for one in made:
        print(f"{what}  {safe(one.validation_run_id)}  {safe(one.reason)}")
