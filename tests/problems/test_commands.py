"""Problems on the command line: real processes, exit codes, JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.problems.histories import Issue, Run
from tests.test_cli import Cli

EVAL, SHELL = Issue("eval is used", severity="critical"), Issue("a shell is started", "security")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    cli = Cli(tmp_path)
    runs = [Run("a", 0, (EVAL,), score=90), Run("b", 24, (EVAL, SHELL), score=80)]
    documents = [run.document for run in runs]
    (tmp_path / "runs.json").write_text(json.dumps(documents))
    cli.run("ingest", "runs.json")
    return cli


def test_problems(cli: Cli) -> None:
    answer = cli.json("problems")
    assert answer["total_count"] == answer["returned_count"] == 2
    assert {p["description"]: p["status"] for p in answer["problems"]} == {
        EVAL.text: "open",
        SHELL.text: "new",
    }
    shown = cli.run("problems", "--sla", "breached").stdout.decode()
    assert "1–2 of 2 problems" in shown
    assert EVAL.text in shown
    assert cli.json("problems", "--as-of", "2025-03-01")["total_count"] == 1
    assert cli.json("problems", "--sla-days", "critical=36500", "--sla", "breached")["total_count"] == 1
    for words in (["--status", "x"], ["--as-of", "x"], ["--sla", "x"], ["--sla-days", "x"]):
        assert cli.run("problems", *words, code=2).stderr.decode().startswith("issuelake: ")


def test_nothing_need_be_written_to_answer(cli: Cli) -> None:
    kept = cli.folder / "lake" / "problems" / "v1"
    kept.mkdir(parents=True)
    for day in ("2025-03-01", "2025-03-02"):
        (kept / f"run_date={day}").write_text("in the way of what would be kept")
    assert cli.json("problems")["total_count"] == 2
    assert len(list(kept.rglob("*"))) == 2


def test_problems_in_sql_and_python(cli: Cli) -> None:
    import issuelake

    query = "SELECT status, count(*) AS n FROM problems GROUP BY ALL ORDER BY ALL"
    wanted = [{"status": "new", "n": 1}, {"status": "open", "n": 1}]
    assert cli.json("sql", query) == wanted
    cli.run("problems")  # which keeps what it worked out, and the fence lets that be read
    assert cli.json("sql", query) == wanted
    with issuelake.connect(str(cli.folder / "lake")) as connection:
        assert connection.sql(query).fetchall() == [("new", 1), ("open", 1)]
        assert connection.sql("SELECT count(*) FROM problem_lives").fetchall() == [(2,)]
        assert connection.sql("FROM triage_decisions").fetchall() == []


def test_decisions_go_from_a_lake_to_another(cli: Cli) -> None:
    prints = {p["description"]: p["fingerprint"] for p in cli.json("problems")["problems"]}
    said = cli.run(
        "accept", prints[EVAL.text][:10], "--reason", "ä\nb", "--until", "2999-12-31", "--by", "ann"
    )
    assert said.stdout.decode() == f"{prints[EVAL.text][:10]}  accepted until 2999-12-31  {EVAL.text}\n"
    cli.json("false-positive", prints[SHELL.text], "--reason", "a constant")
    cli.json("reopen", prints[SHELL.text], "--reason", "it is not")
    assert cli.json("problems", "--triage", "accepted")["total_count"] == 1
    listed = cli.json("triage", "list")["decisions"]
    assert [(d["decision"], d["state"]) for d in listed] == [
        ("reopened", "holds"),
        ("false_positive", "superseded"),
        ("accepted", "holds"),
    ]
    assert (listed[2]["actor"], listed[2]["reason"]) == ("ann", "ä\nb")
    assert "3 decisions" in cli.run("triage", "list").stdout.decode()

    exported = cli.run("triage", "export").stdout
    assert [d["decision"] for d in yaml.safe_load(exported)] == ["accepted", "false_positive", "reopened"]
    taken = cli.json("triage", "import", "-", "--storage", "other", stdin=exported)
    assert taken == {"decisions": 3, "taken": 3}
    assert cli.run("triage", "export", "--storage", "other").stdout == exported
    cli.run("triage", "export", "--to", "decisions.yaml")
    assert cli.json("triage", "import", "decisions.yaml")["taken"] == 0


def test_decisions_that_are_wrong_are_refused(cli: Cli) -> None:
    [first, _] = cli.json("problems")["problems"]
    for words in (
        ["accept", "0123", "--reason", "x"],
        ["accept", first["fingerprint"], "--reason", " "],
        ["accept", first["fingerprint"], "--reason", "x", "--until", "2020-01-01"],
        ["accept", first["fingerprint"], "--reason", "x", "--until", "soon"],
        ["triage", "import", "nowhere.yaml"],
        ["triage", "import", "runs.json"],
        ["triage", "export", "--to", "no/such/folder/x.yaml"],
    ):
        assert cli.run(*words, code=2).stderr.decode().startswith("issuelake: "), words
    assert cli.json("triage", "list")["count"] == 0


def test_diff(cli: Cli) -> None:
    counts = cli.json("diff", "previous", "latest")["counts"]
    assert {kind: count["total"] for kind, count in counts.items()} == {
        "new": 1,
        "fixed": 0,
        "moved": 0,
        "unchanged": 1,
        "not_checked": 0,
    }
    assert SHELL.text in cli.run("diff", "a", "b").stdout.decode()
    assert cli.run("diff", "a", "b", "--format", "markdown").stdout.decode().startswith("## 1 new, 0 fixed")
    log = json.loads(cli.run("diff", "a", "b", "--format", "sarif").stdout)
    assert [result["message"]["text"] for run in log["runs"] for result in run["results"]] == [SHELL.text]
    assert "no run that is stored" in cli.run("diff", "x", "latest", code=2).stderr.decode()


def test_gate(cli: Cli) -> None:
    policy = cli.folder / "gate.yaml"
    policy.write_text("max_new: {high: 0}\nmax_open: {critical: 1}\nmin_score: 70\nmax_score_drop: 10\n")
    done = cli.run("gate", "--policy", "gate.yaml", code=1)
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "FAIL  max_new.high: 1 high new, at most 0 allowed"
    assert SHELL.text in lines[1]
    assert lines[-1] == "gate.yaml: failed: 1 of 4 rules do not hold"
    answer = cli.json("gate", "--policy", "gate.yaml", code=1)
    assert (answer["passed"], [rule["passed"] for rule in answer["rules"]]) == (
        False,
        [False, True, True, True],
    )
    cli.run("gate", "--policy", "gate.yaml", "--as-of", "2025-03-01T23:59:59Z")
    [new] = cli.json("problems", "--status", "new")["problems"]
    cli.run("accept", new["fingerprint"], "--reason", "known")
    assert cli.json("gate", "--policy", "-", stdin=policy.read_bytes())["passed"] is True
    for wrong in (b"max_nwe: 1", b"a: b: c", b"", b"max_new: 1\nmax_new: 2"):
        assert cli.run("gate", "--policy", "-", stdin=wrong, code=2).stderr.decode().startswith("issuelake: ")
    cli.run("gate", "--policy", "nowhere.yaml", code=2)
