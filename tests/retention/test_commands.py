"""Retention on the command line: real processes, exit codes, JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.retention.test_rounds import run
from tests.test_cli import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    cli = Cli(tmp_path)
    runs = [run("new", 1, "low"), run("shipped", 500, "high"), run("old", 400), run("older", 450, "critical")]
    (tmp_path / "runs.json").write_text(json.dumps(runs))
    (tmp_path / "retention.yaml").write_text("keep_days: {by_plugin: {'d*': 365}}")
    cli.run("ingest", "runs.json")
    return cli


def test_what_would_go_is_listed_and_then_goes(cli: Cli) -> None:
    before = cli.json("problems")["problems"]
    pinned = cli.json("pin", "shipped", "--reason", "what we sold", "--by", "ann")
    assert [(p["validation_run_id"], p["pinned"]) for p in pinned["pins"]] == [("shipped", True)]
    assert cli.json("pins")["pins"] == pinned["pins"]
    policy = ("--policy", "retention.yaml")
    shown = cli.run("retain", *policy, "--dry-run").stdout.decode()
    assert "local_file: 2 runs with 4 issues would go" in shown
    assert "keep_days.by_plugin.d* = 365" in shown
    listed = cli.json("retain", *policy, "--dry-run")
    [backend] = listed["backends"]
    assert [r["validation_run_id"] for r in backend["leaving"]] == ["older", "old"]
    assert {r["target_plugin"]: r["issues"] for r in backend["leaving"]} == {"demo": 0}
    assert cli.json("summary")["issue_summary"]["total_issues"] == 1
    done = cli.json("retain", *policy)
    assert done["backends"][0]["leaving"] == backend["leaving"]
    assert done["dry_run"] is False
    assert len(cli.json("history")["issues_data"]["history"]) == 2
    [deletion] = cli.json("deletions")["deletions"]
    assert (deletion["actor"], deletion["runs_deleted"]) == ("retention", 2)
    assert deletion["audit_id"] in done["backends"][0]["audit_ids"]
    ages = ("age_days", "sla_days_left")
    after = cli.json("problems")["problems"]
    assert [{k: v for k, v in p.items() if k not in ages} for p in after] == [
        {k: v for k, v in p.items() if k not in ages} for p in before
    ]
    cli.run("unpin", "shipped", "--reason", "no longer")
    assert "0 pins" in cli.run("pins").stdout.decode()
    assert cli.json("pins", "--all")["count"] == 2
    [backend] = cli.json("retain", *policy)["backends"]
    assert [r["validation_run_id"] for r in backend["leaving"]] == ["shipped"]


def test_what_is_wrong_is_told_in_a_sentence(cli: Cli) -> None:
    (cli.folder / "bad.yaml").write_text("keep_days: {by_severity: {hgih: 3}}")
    for words in (
        ["retain", "--policy", "bad.yaml"],
        ["retain", "--policy", "absent.yaml"],
        ["pin", "nobody", "--reason", "x"],
        ["pin", "old", "--reason", ""],
        ["unpin", "old", "--reason", "x"],
    ):
        assert cli.run(*words, code=2).stderr.decode().startswith("issuelake: "), words
