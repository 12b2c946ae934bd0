"""`make demo`: the main job over the example runs, in process, and what one can ask afterwards.

The runs are dropped into the inbox (`inbox/`), the Dagster assets take them into the lake
(`lake/`) and sum the days up; then the public commands show what there is. `make dev` opens the
Dagster UI over the same lake and the same instance.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

EXAMPLES = Path(__file__).parent
CHECKOUT = EXAMPLES.parent
NEWEST_DAYS = 3
"""So many days are also compacted and summed up one by one, as the automation would."""

SQL = """
SELECT details->>'rule' AS rule, any_value(category) AS category, count(DISTINCT target_plugin) AS plugins,
       count(*) AS issues
FROM issues WHERE severity <= 'high'::severity GROUP BY rule ORDER BY issues DESC LIMIT 8
"""

out = Console(highlight=False)


def main() -> None:
    """Run the demo; a failing step ends it with that step's exit code."""
    os.chdir(CHECKOUT)
    os.environ.setdefault("DAGSTER_HOME", str(CHECKOUT))
    started = time.monotonic()
    Path("inbox").mkdir(exist_ok=True)
    for folder in ("runs", "broken"):
        for path in sorted((EXAMPLES / folder).iterdir()):
            shutil.copy(path, "inbox")
    say("Materialising the Dagster assets over examples/runs and examples/broken")
    materialise()
    show("summary", "Everything in the lake, and the newest run", "summary")
    show("latest", "The newest run of requests, the worst first", "latest", "--plugin", "requests")
    show("history", "How requests did, run after run", "history", "--plugin", "requests")
    show("rejected", "What was rejected, and why", "rejected", "list")
    show(
        "sql", "One question in SQL: which rules are behind the critical and high issues?", "sql", SQL.strip()
    )
    out.print(f"\nDone in {time.monotonic() - started:.0f} s. The lake is in [bold]lake/[/bold].")
    out.print("Open the Dagster UI with [bold green]make dev[/bold green], then http://127.0.0.1:3000")


def materialise() -> None:
    """Everything in the inbox into the lake; then the newest days, compacted and summed up."""
    from dagster import AssetsDefinition, DagsterInstance, materialize

    from pipelines.definitions import defs
    from resources.dagster_resources import LakeResource

    resources = defs.resources or {}
    made = [asset for asset in defs.assets or () if isinstance(asset, AssetsDefinition)]
    by_key = {key.to_user_string(): asset for asset in made for key in asset.keys}
    lake = resources["lake"]
    assert isinstance(lake, LakeResource)
    Path(".dagster").mkdir(exist_ok=True)
    with DagsterInstance.get() as instance:

        def make(name: str, day: str | None = None) -> None:
            out.print(f"  {name} {day or ''}")
            materialize(
                [by_key[name]],
                resources=resources,
                instance=instance,
                partition_key=day,
                run_config={"loggers": {"console": {"config": {"log_level": "WARNING"}}}},
            )

        make("batches")
        for day in lake.open().days()[-NEWEST_DAYS:]:
            make("runs", day.isoformat())
            make("daily_summary", day.isoformat())
        make("problems")


def show(name: str, title: str, *words: str) -> None:
    """Run a command of the public command line, as a user would."""
    say(title)
    shown = f'sql "{words[1]}"' if name == "sql" else " ".join(words)
    out.print(f"$ issuelake {shown}", style="dim", markup=False)
    colour = {"FORCE_COLOR": "1"} if out.is_terminal else {}
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", *words]
    subprocess.run(command, check=True, env=os.environ | colour)


def say(text: str) -> None:
    """A headline."""
    out.print(f"\n[bold cyan]▌[/bold cyan] [bold]{text}[/bold]")


if __name__ == "__main__":
    main()
