"""The documentation says what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "examples" / "README.md"]


def test_generated_parts_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "docs.generate", "--check"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout.decode()}: run `python -m docs.generate`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_command_that_a_page_names_exists() -> None:
    from pipelines.cli.app import app

    group = typer.main.get_command(app)
    commands = set(group.commands)  # type: ignore[attr-defined]
    for page in PAGES:
        named = re.findall(r"issuelake ([a-z]+(?:-[a-z]+)*)\b", page.read_text("utf-8"))
        said = [
            n
            for n in named
            if re.search(rf"(^    |`|\| |\$ ?)issuelake {n}\b", page.read_text("utf-8"), re.M)
        ]
        assert set(said) <= commands | {"takes", "keeps"}, page


def test_nothing_tracked_names_a_machine_or_a_registry() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    # Spelt in pieces, so that this file does not name them itself.
    forbidden = [
        "/wor" + "k/",
        "/opt/" + "wheels",
        "pypi" + ".org/simple",
        "files.python" + "hosted",
        "/root" + "/.",
    ]
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if path.is_file() and path.suffix not in (".png", ".parquet"):
            text = path.read_text("utf-8", errors="replace")
            assert not [word for word in forbidden if word in text], name
