"""Writes the parts of the documentation that come from the code: `python -m docs.generate`.

With `--check` nothing is written; the exit code says whether everything is up to date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import typer.main

from assets.exports.formats import FORMATS
from assets.problems.columns import LIVES, PROBLEMS
from assets.trends.model import PERIODS
from docs import plugin
from pipelines.cli.app import app
from pipelines.operations.document import KEYS
from pipelines.operations.schemas import input_schema
from resources.lake.rejected import COLUMNS as REJECTED
from resources.schema import ISSUES, RUN_DATE, RUNS, Column

DOCS = Path(__file__).parent


def main() -> int:
    """Bring the generated parts up to date; 1 where `--check` finds one that is not."""
    check = "--check" in sys.argv
    stale = []
    wanted = {DOCS / "commands.md": commands(), plugin.MANIFEST: plugin.manifest()}
    for name, parts in {
        "run-files.md": {"run-file": run_file()},
        "asking.md": {"views": views()},
        "exporting.md": {"formats": formats()},
        "lake.md": {"tables": tables()},
        "nine-operations.md": {"operation": operation()},
        "problems.md": {"problems": columns(PROBLEMS), "lives": columns(LIVES)},
        "trends.md": {"periods": columns(PERIODS)},
    }.items():
        wanted[DOCS / name] = _filled((DOCS / name).read_text("utf-8"), parts)
    for path, text in wanted.items():
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(path.name)
            if not check:
                path.write_text(text, "utf-8")
    print(f"{'stale' if check else 'written'}: {', '.join(stale) or 'nothing'}")
    return int(check and bool(stale))


def commands() -> str:
    """Every command with its help, arguments and options."""
    group = typer.main.get_command(app)
    text = "# Commands\n\nGenerated from the code; `issuelake COMMAND --help` says the same.\n"
    for name, command in group.commands.items():  # type: ignore[attr-defined]  # an app with commands is a group
        nested = getattr(command, "commands", None)
        for path, one in ((f"{name} {k}", c) for k, c in nested.items()) if nested else [(name, command)]:
            text += f"\n## issuelake {path}\n\n{_dedented(one.help)}\n\n| | |\n|---|---|\n"
            for parameter in one.params:
                if parameter.param_type_name == "argument":
                    names = f"`{parameter.metavar or parameter.name.upper()}`"
                else:
                    names = ", ".join(
                        f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts)
                    )
                default = _default(parameter)
                text += (
                    f"| {names} | {_cell(getattr(parameter, 'help', None) or 'Show the help.')}{default} |\n"
                )
    return text


def _default(parameter: object) -> str:
    default = getattr(parameter, "default", None)
    shown = default not in (None, False, ()) and not callable(default) and str(default)
    return f" Default: {default}." if shown else ""


def _dedented(text: str | None) -> str:
    return re.sub(r"\n +", "\n", (text or "").strip())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def run_file() -> str:
    """The fields of a run file."""
    rows = [(c.name, c.type, c.meaning) for c in RUNS if c.run_file_field]
    rows.append(("issues_list", "array", "every issue found; absent: none"))
    rows += [(f"issues_list[].{c.name}", c.type, c.meaning) for c in ISSUES if c.run_file_field]
    return _table(("field", "type", "meaning"), rows)


def operation() -> str:
    """The keys of an operation document."""
    properties = input_schema()["properties"]
    rows = []
    for name in KEYS:
        known = properties[name].get("enum", []) or properties[name].get("anyOf", [{}])[0].get("enum", [])
        listed = ", ".join(f"`{value}`" for value in known if value is not None)
        meaning = properties[name]["description"] + (f": {listed}" if listed else "")
        default = properties[name]["default"]
        rows.append((f"`{name}`", meaning, f"`{default}`" if default else ""))
    return _table(("key", "meaning", "default"), rows)


def views() -> str:
    """The columns of the views, one line each."""
    named = {"runs": (*RUNS, RUN_DATE), "issues": (*ISSUES, RUN_DATE), "rejected": REJECTED}
    rows = [(f"`{view}`", ", ".join(c.name for c in columns)) for view, columns in named.items()]
    rows.append(("`daily_summary`", "one row per day and plugin: runs, issues by severity, scores"))
    named = {"problems": PROBLEMS, "problem_lives": LIVES}
    rows += [(f"`{view}`", ", ".join(c.name for c in columns)) for view, columns in named.items()]
    rows.append(("`triage_decisions`", "one row per problem that was decided about: the last decision"))
    return _table(("view", "columns"), rows)


def columns(of: tuple[Column, ...]) -> str:
    """The columns of a view, one a line."""
    return _table(("column", "type", "meaning"), [(f"`{c.name}`", c.type, c.meaning) for c in of])


def formats() -> str:
    """The export formats."""
    rows = [
        (f.name, ", ".join(f"`{s}`" for s in f.suffixes), "yes" if f.streaming else "", f.holds)
        for f in FORMATS.values()
    ]
    return _table(("format", "suffix", "streams", "an issue is"), rows)


def tables() -> str:
    """Both tables in full."""
    return "\n\n".join(
        f"### {name}\n\n{_table(('column', 'type', 'null', 'meaning'), map(_row, columns))}"
        for name, columns in (("runs", (*RUNS, RUN_DATE)), ("issues", (*ISSUES, RUN_DATE)))
    )


def _row(column: Column) -> tuple[str, ...]:
    return (column.name, column.type, "yes" if column.nullable else "", column.meaning)


def _table(heads: tuple[str, ...], rows: object) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]  # type: ignore[attr-defined]
    return "\n".join(lines)


def _filled(text: str, parts: dict[str, str]) -> str:
    for name, part in parts.items():
        begin, end = f"<!-- generated: {name} -->", "<!-- /generated -->"
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(end)
        text = f"{head}{begin}\n{part}\n{end}{tail}"
    return text


if __name__ == "__main__":
    sys.exit(main())
