"""`issuelake health`: once, again and again, or as Prometheus reads it."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

import typer

from pipelines.cli.options import CONFIG, JSON, STORAGE
from pipelines.cli.output import ONE_LINE, RIGHT, Heading, console, print_json, safe, table

_STYLES = {True: "healthy", False: "not healthy"}


def health(
    storage: STORAGE = None,
    config: CONFIG = None,
    json: JSON = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say which backend is used, and why not those before it.")
    ] = False,
    watch: Annotated[
        float | None,
        typer.Option("--watch", metavar="SECONDS", min=0.1, help="Look again every so many seconds."),
    ] = None,
    output: Annotated[
        Literal["table", "prometheus"],
        typer.Option("--format", help="A table, or the text that Prometheus scrapes."),
    ] = "table",
) -> None:
    """Write, read back, compare and remove a small file on every configured storage, side by side.

    Exits with 1 where none of those that are used is well. A storage that another one stands in for is
    `degraded`.

    **Examples**

    `issuelake health --storage s3://bucket/issues`

    `issuelake health --config storages.yaml --explain`

    `issuelake health --format prometheus > /var/lib/node_exporter/issuelake.prom`
    """
    from pipelines.operations.health import prometheus, status
    from resources.config import configuration, configured

    backends = configured(configuration(storage, config))
    while True:
        answer = status(backends)
        found = answer["health_status"]
        if json:
            print_json(answer)
        elif output == "prometheus":
            print(prometheus(answer), end="")
        else:
            _show(found)
            if explain:
                _explain(found)
        if watch is None:
            break
        time.sleep(watch)
    if not answer["success"]:
        raise typer.Exit(1)


def _show(found: dict[str, Any]) -> None:
    columns: list[Heading] = [
        ("Backend", ONE_LINE),
        ("State", ONE_LINE),
        ("Latency", RIGHT),
        ("Priority", RIGHT),
        ("Owed", RIGHT),
        ("Where, or what is wrong", {"overflow": "fold"}),
    ]
    rows = [
        [
            f"{backend['name']} *" if backend["active"] else backend["name"],
            _STYLES[backend["healthy"]],
            f"{backend['latency_ms']:.1f} ms",
            backend["priority"],
            backend["owed_batches"],
            backend["url"] if backend["healthy"] else backend["last_error"],
        ]
        for backend in found["backends"]
    ]
    title = f"{found['verdict']}: {found['storage_backend']} is used"
    if found["owed_batches"]:
        title += f", {found['owed_batches']} batches are owed (`issuelake reconcile`)"
    console().print(table(title, columns, rows))


def _explain(found: dict[str, Any]) -> None:
    for place, backend in enumerate(found["backends"], 1):
        seconds = backend["latency_ms"] / 1000
        if backend["active"]:
            print(f"{place}. {backend['name']} answered after {seconds:.3f} s and is used.")
            return
        reason = safe(backend["last_error"] or "it is not one of those that are used")
        print(f"{place}. {backend['name']} was passed over after {seconds:.3f} s: {reason}")
