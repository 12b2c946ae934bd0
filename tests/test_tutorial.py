"""docs/tutorial.md: every line for a shell is run, in order, and says what the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", PAGE, re.M | re.S)
END_OF_BLOCK = "----- end of block -----"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A folder of commands: `issuelake` and `ruff`."""
    tools = tmp_path / "bin"
    tools.mkdir()
    command = f"exec {sys.executable} -W error -c 'from pipelines.cli import main; main()' \"$@\""
    (tools / "issuelake").write_text(f"#!/bin/sh\n{command}\n")
    (tools / "issuelake").chmod(0o755)
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert ruff
    (tools / "ruff").symlink_to(ruff)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ISSUELAKE_")}
    return kept | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
        "LC_ALL": "C.UTF-8",
    }


def pattern(shown: str) -> re.Pattern[str]:
    """What a block of output means: `…` stands for anything in a line, alone for any lines."""
    lines = (
        "(?s:.*)" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in shown.splitlines()
    )
    return re.compile("".join(lines))


def test_the_tutorial_does_what_it_says(environment: dict[str, str], tmp_path: Path) -> None:
    assert len(BLOCKS) >= 8
    folder = tmp_path / "project"
    folder.mkdir()
    script = "".join(f"{block}echo '{END_OF_BLOCK}'\n" for block, _ in BLOCKS)
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    outputs = [
        "".join(f"{line.rstrip()}\n" for line in output.strip("\n").splitlines())
        for output in done.stdout.split(END_OF_BLOCK)[:-1]
    ]
    assert sum(bool(shown) for _, shown in BLOCKS) >= 6
    for (block, shown), output in zip(BLOCKS, outputs, strict=True):
        if shown:
            assert pattern(shown).fullmatch(output), f"{block}\nsays\n{output}\nand not\n{shown}"
    assert {"report.html", "shop.zip", "gate.yaml", "lake"} <= {path.name for path in folder.iterdir()}
