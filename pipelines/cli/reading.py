"""`issuelake latest`, `issues`, `search`, `summary`, `history`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from assets.query import Query, parse
from pipelines.cli import options as o
from pipelines.cli.options import DEFAULT_LIMIT
from pipelines.cli.output import (
    ONE_LINE,
    RIGHT,
    STYLES,
    TITLES,
    Heading,
    console,
    counts_line,
    issue_table,
    print_json,
    safe,
    table,
)
from resources.schema import SEVERITIES

_LATEST_SHOWN = 12


def latest(
    plugin: o.PLUGIN = None, storage: o.STORAGE = None, config: o.CONFIG = None, json: o.JSON = False
) -> None:
    """Show the newest run whole, with its issues, the worst first.

    **Examples**

    `issuelake latest`

    `issuelake latest --plugin requests --json`
    """
    from assets import answers
    from pipelines.cli.opening import open_storage

    answer = answers.latest(open_storage(storage, config), plugin)
    if json:
        print_json(answer)
        return
    run = answer["issues_data"]
    if run is None:
        console().print("There is no run yet. Take some in with `issuelake ingest SOURCE`.", markup=False)
        return
    out = console()
    score = run.get("pipeline_score")
    out.print(f"{safe(run['target_plugin'])}  {safe(run['validation_run_id'])}", style="bold", markup=False)
    out.print(f"{run['timestamp']}  score {'–' if score is None else score}", markup=False)
    out.print(counts_line(run))
    listed = sorted(run["issues_list"], key=lambda issue: SEVERITIES.index(issue["severity"]))
    if listed:
        shown = listed[:_LATEST_SHOWN]
        out.print(issue_table("", shown, with_run=False))
    if len(listed) > _LATEST_SHOWN:
        more = len(listed) - _LATEST_SHOWN
        out.print(
            f"… and {more} more: issuelake issues --run-id {safe(run['validation_run_id'])}", markup=False
        )


def issues(
    plugin: o.PLUGIN = None,
    severity: o.SEVERITY = None,
    min_severity: o.MIN_SEVERITY = None,
    category: o.CATEGORY = None,
    file_path: o.FILE_PATH = None,
    run_id: o.RUN_ID = None,
    fingerprint: o.FINGERPRINT = None,
    where: o.WHERE = None,
    date_from: o.DATE_FROM = None,
    date_to: o.DATE_TO = None,
    sort: o.SORT = None,
    limit: o.LIMIT = DEFAULT_LIMIT,
    offset: o.OFFSET = 0,
    storage: o.STORAGE = None,
    config: o.CONFIG = None,
    json: o.JSON = False,
) -> None:
    """List issues, newest run first.

    **Examples**

    `issuelake issues --plugin requests --min-severity high`

    `issuelake issues --from 2025-01-01 --where "category = 'security' AND file_path LIKE 'src/%'"`

    `issuelake issues --sort severity,-timestamp --limit 20 --json`
    """
    _show_issues("get_issues", locals())


def search(
    text: Annotated[str, typer.Argument(help="Words that description, recommendation or file path hold.")],
    plugin: o.PLUGIN = None,
    severity: o.SEVERITY = None,
    min_severity: o.MIN_SEVERITY = None,
    category: o.CATEGORY = None,
    file_path: o.FILE_PATH = None,
    run_id: o.RUN_ID = None,
    fingerprint: o.FINGERPRINT = None,
    where: o.WHERE = None,
    date_from: o.DATE_FROM = None,
    date_to: o.DATE_TO = None,
    sort: o.SORT = None,
    limit: o.LIMIT = DEFAULT_LIMIT,
    offset: o.OFFSET = 0,
    storage: o.STORAGE = None,
    config: o.CONFIG = None,
    json: o.JSON = False,
) -> None:
    """Find issues by words, in any case and order, with all filters of `issues`.

    **Examples**

    `issuelake search "shell injection"`

    `issuelake search eval --plugin jinja2 --min-severity high`
    """
    _show_issues("search_issues", locals())


def summary(
    plugin: o.PLUGIN = None,
    severity: o.SEVERITY = None,
    category: o.CATEGORY = None,
    date_from: o.DATE_FROM = None,
    date_to: o.DATE_TO = None,
    storage: o.STORAGE = None,
    config: o.CONFIG = None,
    json: o.JSON = False,
) -> None:
    """Sum up the newest run, and everything that is selected.

    **Examples**

    `issuelake summary`

    `issuelake summary --plugin requests --from 2025-01-01`
    """
    from assets import answers
    from pipelines.cli.opening import open_storage

    answer = answers.summary(open_storage(storage, config), query_of(locals()))
    if json:
        print_json(answer)
        return
    newest, overall = answer["issue_summary"], answer["issue_summary"]["overall"]
    run = newest["latest_validation_run"]
    columns: list[Heading] = [
        "",
        ("Newest run", RIGHT),
        (f"All {overall['runs']} runs", RIGHT),
    ]
    rows: list[list[Any]] = [["Issues", newest["total_issues"], overall["total_issues"]]]
    rows += [[Text(title, STYLES[title.lower()]), newest[c], overall[c]] for c, title in TITLES.items()]
    rows.append(["Score", _score(newest), _score(overall)])
    rows += [
        [f"  {safe(name)}", newest["issues_by_category"].get(name, 0), count]
        for name, count in overall["issues_by_category"].items()
    ]
    out = console()
    out.print(table(f"Newest run: {safe(run) or 'none yet'}", columns, rows))


def history(
    plugin: o.PLUGIN = None,
    date_from: o.DATE_FROM = None,
    date_to: o.DATE_TO = None,
    limit: o.LIMIT = DEFAULT_LIMIT,
    offset: o.OFFSET = 0,
    storage: o.STORAGE = None,
    config: o.CONFIG = None,
    json: o.JSON = False,
) -> None:
    """Show run after run what is new, fixed and unchanged, oldest first.

    Of more runs than --limit the newest are shown.

    **Examples**

    `issuelake history --plugin requests`

    `issuelake history --from 2025-01-01 --limit 1000 --json`
    """
    from assets import answers
    from pipelines.cli.opening import open_storage

    answer = answers.history(open_storage(storage, config), query_of(locals()))
    if json:
        print_json(answer)
        return
    runs = answer["issues_data"]["history"]
    columns: list[Heading] = [("Day", ONE_LINE)]
    columns += [] if plugin else [("Plugin", ONE_LINE)]
    columns += [
        ("Run", {"overflow": "fold"}),
        *((name, RIGHT) for name in ("Score", "All", *TITLES.values())),
    ]
    columns += [(name, RIGHT) for name in ("New", "Fixed", "Same")]
    keys = ("validation_run_id", "pipeline_score", "total_issues", *TITLES, "new", "fixed", "unchanged")
    rows = [
        [run["timestamp"][:10], *([] if plugin else [run["target_plugin"]]), *(run[key] for key in keys)]
        for run in runs
    ]
    out = console()
    out.print(table(f"{len(runs)} runs", columns, rows))
    scores = [run["pipeline_score"] for run in runs if run["pipeline_score"] is not None]
    if len(scores) > 1:
        from sparklines import sparklines

        out.print(f"score  {sparklines(scores)[0]}  {scores[0]} → {scores[-1]}", markup=False)


def query_of(options: dict[str, Any]) -> Query:
    """The query that a command's options ask for; the options are called like the query's keys."""
    keys = {
        name: value
        for name, value in options.items()
        if name in Query.__struct_fields__ and value is not None
    }
    return parse({**keys, "plugin_name": options["plugin"]})


def _show_issues(operation: str, options: dict[str, Any]) -> None:
    from assets import answers
    from pipelines.cli.opening import open_storage

    opened = open_storage(options["storage"], options["config"])
    answer = answers.issues(opened, query_of(options), operation)
    if options["json"]:
        print_json(answer)
        return
    data = answer["issues_data"]
    first = data["offset"] + 1 if data["returned_count"] else 0
    last = data["offset"] + data["returned_count"]
    title = f"{first}–{last} of {data['filtered_count']} issues ({data['total_count']} before the filters)"
    console().print(issue_table(title, data["issues"]))


def _score(figures: dict[str, Any]) -> str:
    score = figures["average_score"]
    return "–" if score is None else f"{score:g}"
