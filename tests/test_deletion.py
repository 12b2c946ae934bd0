"""Deleting runs: what is refused, what is written down, and the commands."""

from __future__ import annotations

import getpass
import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from assets import answers, deletion, kernel
from assets.query import parse
from resources.config import Storage, open_storage
from resources.contract import Delivery
from resources.errors import QueryError
from resources.lake import layout
from tests.lake.contract import everything
from tests.lake.state import DAYS, NOW, append, document
from tests.test_cli import Cli


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    opened = open_storage(str(tmp_path / "lake"))
    append(opened.backend, [document(f"{n}" * (1 + n % 3), DAYS[n % 3], issues=n) for n in range(6)])
    return opened


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "empty"),
        ({"dry_run": True}, "empty"),
        ({"all": False}, "empty"),
        ({"severity": ["low"]}, "query.severity does not select whole runs"),
        ({"plugin_name": "plugin-1", "category": ["style"]}, "query.category"),
        ({"all": True, "where": "severity = 'low'"}, "query.where"),
        ({"plugin_name": "plugin-1", "text": "x"}, "query.text"),
        ({"run_id": "0", "fingerprint": "f"}, "query.fingerprint"),
        ({"run_id": "0", "file_path": "*"}, "query.file_path"),
        ({"run_id": "0", "min_severity": "low"}, "query.min_severity"),
        ({"run_id": "0", "sort": "severity"}, "query.sort"),
        ({"run_id": "0", "limit": 1}, "query.limit"),
        ({"run_id": "0", "offset": 1}, "query.offset"),
        ({"all": True, "plugin_name": "plugin-1"}, "query.all deletes every run, but query.plugin_name"),
        ({"run_id": "\ud800"}, "query.run_id"),
        ({"date_from": "yesterday"}, "query.date_from"),
    ],
)
def test_what_is_not_clearly_meant_is_refused(storage: Storage, keys: dict[str, Any], said: str) -> None:
    before = everything(storage.backend)
    with pytest.raises(QueryError) as error:
        deletion.delete(storage, parse(keys), "a tester")
    assert said in str(error.value)
    assert everything(storage.backend) == before


@pytest.mark.parametrize(
    "keys",
    [
        {"plugin_name": "plugin-1"},
        {"plugin_name": "' OR true --"},
        {"date_from": str(DAYS[1])},
        {"date_to": f"{DAYS[0]}T12:00:00Z"},
        {"run_id": "0"},
        {"plugin_name": "plugin-2", "date_from": str(DAYS[1]), "date_to": str(DAYS[1])},
        {"all": True},
    ],
)
def test_what_goes_is_what_was_counted_before(storage: Storage, keys: dict[str, Any]) -> None:
    def selected(**more: Any) -> dict[str, Any]:
        query = parse({key: value for key, value in keys.items() if key != "all"} | more)
        return dict(answers.summary(storage, query)["issue_summary"]["overall"])

    before, every = selected(), answers.summary(storage, parse({}))["issue_summary"]["overall"]
    counted = deletion.delete(storage, parse(keys | {"dry_run": True}), "")["issues_data"]
    done = deletion.delete(storage, parse(keys), "a tester")
    assert done["success"] is True
    assert done["operation_result"]["operation"] == "delete_issues"
    assert done["operation_result"]["records_affected"] == before["runs"]
    for counts in (counted, done["issues_data"]):
        assert (counts["runs_deleted"], counts["issues_deleted"]) == (before["runs"], before["total_issues"])
    left = answers.summary(storage, parse({}))["issue_summary"]["overall"]
    assert left["runs"] == every["runs"] - before["runs"]
    assert left["total_issues"] == every["total_issues"] - before["total_issues"]
    assert selected()["runs"] == 0


def test_records_are_never_folded_away(storage: Storage) -> None:
    evil = "=cmd|' /C calc'!A0 \x1b[2J ☃ '\"; DROP"
    for n in range(3):
        deletion.delete(storage, parse({"run_id": f"{n}" * (1 + n % 3)}), f"{evil} {n}")
        storage.backend.maintain(NOW)
    assert [d.actor for d in storage.backend.deletions()] == [f"{evil} {n}" for n in range(3)]
    assert [d.runs_deleted for d in storage.backend.deletions()] == [1, 1, 1]


def test_a_hundred_thousand_runs(tmp_path: Path) -> None:
    opened = open_storage(str(tmp_path))
    count = 100_000
    runs = [
        b'{"validation_run_id":"run-%d","timestamp":"2025-03-0%dT00:00:00Z","target_plugin":"p%d"}'
        % (n, 1 + n % 2, n % 3)
        for n in range(count)
    ]
    chunk = kernel.build([Delivery("many", run) for run in runs])
    opened.backend.append(chunk.runs, chunk.issues)
    append(opened.backend, [document("kept", DAYS[5])])
    started = time.perf_counter()
    done = deletion.delete(opened, parse({"date_to": str(DAYS[1])}), "a tester")["issues_data"]
    assert done["runs_deleted"] == count
    assert answers.issues(opened, parse({}))["issues_data"]["total_count"] == 2
    assert append(opened.backend, [document("run-7", DAYS[5])]).runs_stored == 1
    assert time.perf_counter() - started < 30
    assert answers.issues(opened, parse({"text": "run-7"}))["issues_data"]["filtered_count"] == 2
    [mark] = opened.backend.files.find(layout.DELETED)
    assert pq.read_metadata(tmp_path / mark.path).num_rows == count
    opened.backend.maintain(NOW)
    assert {f.day for f in layout.data_files(opened.backend.files)} == {DAYS[5]}


# --- the commands ----------------------------------------------------------------------------------


@pytest.fixture
def cli(tmp_path: Path, storage: Storage) -> Cli:
    assert storage.backend.url == str(tmp_path / "lake")
    return Cli(tmp_path)


def test_delete_answers_and_is_listed(cli: Cli) -> None:
    counted = cli.json("delete", "--plugin", "plugin-1", "--dry-run")["issues_data"]
    done = cli.json("delete", "--plugin", "plugin-1", "--yes", "--by", "the \x1b[2J job")
    assert done["issues_data"] | {"dry_run": True, "audit_id": None} == counted
    [listed] = cli.json("deletions")["deletions"]
    assert listed["audit_id"] == done["issues_data"]["audit_id"]
    assert (listed["actor"], listed["query"]) == ("the \x1b[2J job", {"plugin_name": "plugin-1"})
    assert listed["runs_deleted"] == counted["runs_deleted"] == 2
    shown = cli.run("deletions").stdout.decode()
    assert "plugin_name=plugin-1" in shown
    assert "\x1b" not in shown
    assert cli.run("delete", "--run-id", "nowhere", "-y").stdout == b"0 runs with 0 issues deleted\n"
    assert cli.json("deletions")["count"] == 1


def test_delete_by_the_user_of_the_system(cli: Cli) -> None:
    cli.run("delete", "--run-id", "0", "--yes", LOGNAME="someone")
    cli.run("delete", "--run-id", "11", "--yes")
    assert [d["actor"] for d in cli.json("deletions")["deletions"]] == ["someone", getpass.getuser()]


def test_nobody_to_ask_is_wrong_usage(cli: Cli) -> None:
    before = cli.json("summary")["issue_summary"]
    said = cli.run("delete", "--all", code=2).stderr.decode()
    assert "6 runs with 15 issues" in said
    assert "--yes" in said
    document = json.loads(cli.run("delete", "--all", "--json", code=2).stdout)
    assert document["success"] is False
    assert cli.json("summary")["issue_summary"] == before


@pytest.mark.parametrize(
    "words",
    [
        ["delete"],
        ["delete", "--yes"],
        ["delete", "--all", "--plugin", "a", "--yes"],
        ["delete", "--limit", "1"],
    ],
)
def test_wrong_usage(cli: Cli, words: list[str]) -> None:
    assert cli.run(*words, code=2).stdout == b""
    assert cli.json("deletions")["count"] == 0


@pytest.mark.parametrize(
    ("typed", "code", "left"), [(b"y\n", 0, 4), (b"n\n", 1, 6), (b"\n", 1, 6), (b"\x04", 1, 6)]
)
def test_a_terminal_is_asked(cli: Cli, typed: bytes, code: int, left: int) -> None:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, typed)
        done = subprocess.run(
            [sys.executable, "-c", "from pipelines.cli import main; main()", "delete", "-p", "plugin-1"],
            cwd=cli.folder,
            stdin=theirs,
            capture_output=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == code, done.stderr
    assert b"Delete 2 runs with 3 issues from " in done.stderr.replace(b"\n", b" ")
    assert done.stdout == (b"2 runs with 3 issues deleted\n" if code == 0 else b"")
    assert cli.json("summary")["issue_summary"]["overall"]["runs"] == left
