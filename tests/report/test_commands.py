"""`issuelake report`."""

from __future__ import annotations

import hashlib
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


def test_a_page_goes_into_a_file_and_a_pdf_to_standard_output(cli: Cli) -> None:
    answer = cli.json("report", "--to", "out/report.html", "--manifest")
    page = (cli.folder / "out/report.html").read_bytes()
    assert (answer["format"], answer["open"], answer["bytes"]) == ("html", 11, len(page))
    assert answer["sha256"] == hashlib.sha256(page).hexdigest()
    manifest = json.loads((cli.folder / "out/report.html.manifest.json").read_bytes())
    assert (manifest["bytes"], manifest["sha256"]) == (len(page), answer["sha256"])
    words = ["--plugin", "demo", "--from", "2025-03-01", "--to-date", "2025-04-01"]
    done = cli.run("report", "--to", "-", "--format", "pdf", *words)
    assert done.stdout.startswith(b"%PDF-")
    said = f"2025-03-01 to 2025-04-01, 9 open problems, {len(done.stdout)} bytes → -\n"
    assert done.stderr.decode() == said


def test_what_is_wrong_is_said_before_anything_is_written(cli: Cli) -> None:
    for words in (
        ["--to", "r.docx"],
        ["--to", "r.html", "--from", "x"],
        ["--to", "r.html", "--as-of", "x"],
        ["--to", "r.html", "--plugin", "nobody"],
        ["--to", "-", "--manifest"],
        ["--to", "-", "--json"],
        ["--to", "lake/runs/r.html"],
    ):
        done = cli.run("report", *words, code=2)
        assert b"issuelake: " in done.stderr or json.loads(done.stdout)["success"] is False
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
