"""`issuelake trend`: what goes into a pipe, what a terminal shows, what programs read."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.problems.histories import Issue, Run
from tests.test_cli import Cli

HOSTILE = "\x1b]0;owned\x07\x1b[31m\u202eplugin"
EVAL, SHELL = Issue("eval is used", severity="critical", rule="B307"), Issue("a shell \x1b[2J", "security")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    cli = Cli(tmp_path)
    runs = [Run(f"run-{n}", 24 * n, (EVAL, SHELL) if n % 2 else (EVAL,), score=80 + n) for n in range(7)]
    runs += [replace(runs[-1], run_id="other", plugin=HOSTILE)]
    (tmp_path / "runs.json").write_text(json.dumps([run.document for run in runs]))
    cli.run("ingest", "runs.json")
    return cli


def on_a_terminal(cli: Cli, *words: str, columns: int = 100) -> str:
    """What the command writes to a terminal."""
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).with_name("issuelake")), *words]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40"}
    running = subprocess.Popen(
        command, cwd=cli.folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end was closed
            break
        if not part:
            break
        said += part
    os.close(ours)
    assert running.wait(60) == 0, said
    return said.decode()


def test_a_table_goes_into_a_pipe(cli: Cli) -> None:
    shown = cli.run("trend", "--plugin", "demo").stdout.decode()
    assert "demo, 2025-02-06 to 2025-03-07, by day" in shown
    assert re.search(r"2025-03-02\s+1\s+1\s+1\s+0\s+0\s+81\.0\s+1\s+0\s+0\s+2\s+–\s+–\n", shown)
    assert re.search(r"2025-03-03\s+1\s+1\s+0\s+0\s+0\s+82\.0\s+0\s+0\s+1\s+1\s+1\.0\s+–\n", shown)
    assert re.search(r"B307\s+1\s+1\s+0\s+0\s+1\n", shown)
    assert re.search(r"\n\s*2\s+high\s+demo\s+src/a\.py  a shell �\[2J", shown)
    assert re.search(r"0\.0%\n", cli.run("trend", "--by", "month").stdout.decode())


def test_programs_read_json(cli: Cli) -> None:
    answer = cli.json("trend", "--by", "week", "--from", "2025-03-01", "--to", "2025-03-04")
    assert (answer["by"], answer["from"], answer["to"], answer["plugin"]) == (
        "week",
        "2025-03-01",
        "2025-03-04",
        None,
    )
    assert [(p["period"], p["runs"], p["open"]) for p in answer["overall"]] == [
        ("2025-02-24", 2, 2),
        ("2025-03-03", 2, 2),
    ]
    assert list(answer["plugins"]) == ["demo"]
    assert answer["rules"][0]["name"] == "B307"
    assert {c["category"] for c in answer["categories"]} == {"style", "security"}


@pytest.mark.parametrize("chart", ["severity", "score", "flow", "open"])
def test_a_terminal_shows_a_chart(cli: Cli, chart: str) -> None:
    shown = on_a_terminal(cli, "trend", "--chart", chart)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "┌──" in plain
    assert "2025-03-01" in plain
    assert {"severity": "● critical", "score": "● lowest", "flow": "● fixed", "open": "● open"}[
        chart
    ] in plain
    assert "\x1b" not in plain  # colours, and nothing that moves, clears or names a window
    assert any("\u2801" <= character <= "\u28ff" for character in plain)


def test_one_period_is_a_chart_too_and_narrow_is_wide_enough(cli: Cli) -> None:
    for words in (["--by", "month"], ["--to", "2025-03-01"]):
        assert "┌──" in on_a_terminal(cli, "trend", *words, columns=20)
    assert "┌──" not in on_a_terminal(cli, "trend", "--chart", "table")


def test_a_hostile_name_does_nothing_to_a_terminal(cli: Cli) -> None:
    for words in (["--plugin", HOSTILE], ["--plugin", HOSTILE, "--chart", "table"]):
        shown = on_a_terminal(cli, "trend", *words)
        assert "]0;owned" in shown
        assert "\x1b]" not in shown
        assert "\x1b[31m�" not in shown
        assert not {"\x07", "\u202e"} & set(shown)


def test_what_is_wrong_is_said(cli: Cli) -> None:
    for words in (["--from", "x"], ["--to", "2025-02-30"], ["--from", "2025-03-02", "--to", "2025-03-01"]):
        assert cli.run("trend", *words, code=2).stderr.decode().startswith("issuelake: ")
    assert "no runs in that time" in cli.run("trend", "--to", "2001-01-01").stdout.decode()
    assert "no runs in that time" in cli.run("trend", "-s", "empty").stdout.decode()
    assert cli.run("trend", "--from", "0001-01-01", "--to", "9999-12-31").stdout
    assert cli.run("trend", "--to", "0001-01-05").stdout
