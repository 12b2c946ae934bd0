"""`issuelake report`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.conftest import history
from tests.test_cli import ENVIRONMENT, Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    cli = Cli(tmp_path)
    (tmp_path / "runs.json").write_text(json.dumps([run.document for run in history()]))
    cli.run("ingest", "runs.json")
    return cli


def test_a_page_and_a_pdf_are_written(cli: Cli) -> None:
    said = cli.run("report", "--to", "report.html", "--manifest").stdout.decode()
    page = (cli.folder / "report.html").read_bytes()
    assert said == f"2025-04-03 to 2025-04-09, 11 open problems, {len(page)} bytes → report.html\n"
    manifest = json.loads((cli.folder / "report.html.manifest.json").read_bytes())
    assert manifest["bytes"] == len(page)
    answer = cli.json(
        "report", "--to", "out/r.pdf", "--plugin", "demo", "--from", "2025-03-01", "--to-date", "2025-04-01"
    )
    assert (answer["format"], answer["from"], answer["to"]) == ("pdf", "2025-03-01", "2025-04-01")
    assert (answer["plugin"], answer["as_of"], answer["open"]) == ("demo", "2025-04-01T23:59:59.999999Z", 9)
    assert (cli.folder / "out/r.pdf").read_bytes().startswith(b"%PDF-")
    to_stdout = cli.run("report", "--to", "-")
    assert to_stdout.stdout == page
    assert "11 open problems" in to_stdout.stderr.decode()


def test_what_is_wrong_is_said_before_anything_is_written(cli: Cli) -> None:
    for words in (
        ["--to", "r.docx"],
        ["--to", "r.html", "--format", "csv"],
        ["--to", "r.html", "--from", "x"],
        ["--to", "r.html", "--as-of", "x"],
        ["--to", "r.html", "--sla-days", "urgent=1"],
        ["--to", "r.html", "--plugin", "nobody"],
        ["--to", "-", "--manifest"],
        ["--to", "-", "--json"],
        ["--to", "lake/runs/r.html"],
    ):
        assert b"issuelake: " in cli.run("report", *words, code=2).stderr or words[-1] == "--json"
    assert not (cli.folder / "r.html").exists()


def test_a_missing_extra_names_what_to_install(cli: Cli) -> None:
    code = "import sys; sys.modules['altair'] = None; from pipelines.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "report", "--to", "r.html"],
        cwd=cli.folder,
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "pip install 'issuelake[report]'" in done.stderr.decode()
