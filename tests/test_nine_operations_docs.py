"""docs/nine-operations.md: what it shows is run, and answers as it says."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.operations.dispatch import run
from resources.config import open_storage

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "nine-operations.md").read_text("utf-8")
A_RUN = json.loads((ROOT / "examples" / "runs" / "flask-1.0.json").read_text("utf-8"))
OF_THE_MOMENT = {"timestamp", "stored_at", "latency_ms", "sha256"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the commands `issuelake` and `my-validator` on the path."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tmp_path / "prepared.json").write_text(json.dumps(A_RUN))
    scripts = {
        "issuelake": f"exec {sys.executable} -W error -c 'from pipelines.cli import main; main()' \"$@\"",
        "my-validator": f"cat {tmp_path}/prepared.json",
    }
    for name, script in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    monkeypatch.delenv("ISSUELAKE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bash(script: str, **environment: str) -> str:
    """A step as GitHub Actions runs it."""
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def stored_runs(storage: str | None = None) -> list[str]:
    history = run({"operation": "get_issue_history"}, storage)["issues_data"]["history"]
    return [row["validation_run_id"] for row in history]


def test_the_lines_for_python() -> None:
    [block] = blocks("python")
    names: dict[str, Any] = {"run": A_RUN}
    code = compile(block, "nine-operations.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    asyncio.run(eval(code, names))
    assert names["answer"]["success"] is True
    assert stored_runs() == [A_RUN["validation_run_id"]]


@pytest.mark.parametrize("block", blocks("sh"))
def test_the_lines_for_a_shell(block: str) -> None:
    bash(block)
    assert stored_runs() == [A_RUN["validation_run_id"]]


def test_the_steps_for_github_actions(project: Path) -> None:
    [block] = blocks("yaml")
    [job] = yaml.safe_load(block)["jobs"].values()
    storage, summary = str(project / "results"), project / "summary.md"
    for step in job["steps"]:
        bash(step["run"], ISSUELAKE_STORAGE=storage, GITHUB_STEP_SUMMARY=str(summary))
    assert stored_runs(storage) == [A_RUN["validation_run_id"]]
    assert A_RUN["validation_run_id"] in summary.read_text()


def test_the_steps_fail_when_the_run_is_refused(project: Path) -> None:
    (project / "prepared.json").write_text('{"issues_list": [{"severity": "hgih", "description": "x"}]}')
    for block in blocks("sh"):
        with pytest.raises(AssertionError, match="hgih"):
            bash(block)
    assert open_storage().backend.days() == []


def test_every_example_answers_as_the_page_says() -> None:
    examples = blocks("json")
    assert len(examples) >= 18
    for asked, shown in zip(examples[::2], examples[1::2], strict=True):
        assert steady(run(json.loads(asked))) == steady(json.loads(shown))


@pytest.mark.parametrize("line", re.findall(r"^    (issuelake run .*)$", PAGE, re.M))
def test_every_command_of_the_page_works(line: str) -> None:
    assert json.loads(bash(line))["success"] is True


def steady(value: Any, key: str = "") -> Any:
    """`value` without what is another at every moment."""
    if key in OF_THE_MOMENT and value != "2025-08-29T10:00:00Z":
        return "…"
    if isinstance(value, dict):
        return {name: steady(member, name) for name, member in value.items()}
    return [steady(member) for member in value] if isinstance(value, list) else value
