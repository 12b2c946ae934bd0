"""`issuelake backends`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.options import CONFIG, JSON, STORAGE
from pipelines.cli.output import ONE_LINE, RIGHT, Heading, console, print_json, table

if TYPE_CHECKING:
    from pipelines.operations.listing import Listed

_SAID = {True: "yes", False: "no", None: ""}


def backends(
    storage: STORAGE = None,
    config: CONFIG = None,
    seconds: Annotated[
        float,
        typer.Option("--timeout", min=0.1, max=3600, metavar="SECONDS", help="How long to wait for answers."),
    ] = 10.0,
    json: JSON = False,
) -> None:
    """List the backends there are, which of them are configured and well, and why others are not.

    Those that are configured come first, in the order in which `storage_backend: auto` takes them;
    each is looked at by writing, reading back and removing a small file, all side by side. The
    others need to be configured only (`docs/storage.md`), or a driver as well, which the note says
    how to install. A `plugin` comes with an installed package: name it as `plugin_name` under
    `custom_backends` (`docs/custom-backends.md`).

    Exits with 1 where the one that is in use is not healthy.

    **Examples**

    `issuelake backends`

    `issuelake backends --config issuelake.yaml --timeout 3 --json`
    """
    from pipelines.operations.listing import listing
    from resources.config import configuration, configured

    found = listing(configured(configuration(storage, config)), seconds)
    used = next(listed for listed in found if listed.active)
    if json:
        print_json({"backends": found, "active": used.name, "count": len(found)})
    else:
        headings: list[Heading] = [
            ("Backend", ONE_LINE),
            ("Installed", ONE_LINE),
            ("State", ONE_LINE),
            ("Priority", RIGHT | ONE_LINE),
            ("Note", {"overflow": "fold"}),
        ]
        console().print(table(f"{len(found)} backends; {used.name} is in use", headings, map(_row, found)))
    if not used.healthy:
        raise typer.Exit(1)


def _row(listed: Listed) -> list[object]:
    return [
        listed.name,
        _SAID[listed.installed],
        _state(listed),
        listed.priority,
        _note(listed),
    ]


def _state(listed: Listed) -> str:
    if not listed.configured:
        return "not configured"
    if listed.healthy:
        return "healthy"
    return "reachable" if listed.reachable else "unreachable"


def _note(listed: Listed) -> str:
    """What to do about it, or why it cannot be used; else where it is."""
    if listed.install or listed.reason:
        return listed.install or listed.reason or ""
    if listed.healthy:
        return f"{'in use, ' if listed.active else ''}{listed.latency_ms:.1f} ms, {listed.url}"
    return f"plugin_name of {listed.offered_by}" if listed.offered_by else ""
