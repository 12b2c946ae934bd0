"""`issuelake export` as users meet it: real processes."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

from resources.config import Storage

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-W", "error", "-c", "from pipelines.cli import main; main()", "export"]


def run(
    folder: Path, storage: Storage, *words: str, code: int = 0, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    options = {"stdout": subprocess.PIPE} | options
    done = subprocess.run(
        [*COMMAND, *words, "--storage", storage.backend.url],
        cwd=folder,
        stderr=subprocess.PIPE,
        env=environment,
        timeout=60,
        check=False,
        **options,
    )
    assert done.returncode == code, done.stderr.decode()
    return done


def test_to_a_file(storage: Storage, tmp_path: Path) -> None:
    done = run(tmp_path, storage, "--to", "out/issues.csv", "--plugin", "shop", "--json", "--manifest")
    data = json.loads(done.stdout)["issues_data"]
    assert (data["export_path"], data["export_format"], data["exported_count"]) == (
        "out/issues.csv",
        "csv",
        4,
    )
    assert data["manifest_path"] == "out/issues.csv.manifest.json"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["issues.csv", "issues.csv.manifest.json"]


def test_to_standard_output(storage: Storage, tmp_path: Path) -> None:
    done = run(tmp_path, storage, "--to", "-", "--format", "csv", "--min-severity", "critical", "-n", "3")
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))
    assert [row["severity"] for row in rows] == ["critical"] * 3
    assert done.stderr.decode().startswith("3 issues as csv, ")


def test_filters(storage: Storage, tmp_path: Path) -> None:
    words = ["--to", "-", "--text", "eval used", "--from", "2025-08-29", "--until", "2025-08-29"]
    found = json.loads(run(tmp_path, storage, *words, "--run-id", "run-3").stdout)
    assert [(i["validation_run_id"], i["description"]) for i in found] == [("run-3", "eval is used")]


def test_what_is_refused(storage: Storage, tmp_path: Path) -> None:
    for words, says in (
        (["--to", "x.docx"], "does not tell the format"),
        (["--to", "x", "--format", "docx"], "'docx' is not an export format"),
        (["--to", "2025-08-29"], "looks like a day"),
        (["--to", "-", "--manifest"], "no place for it"),
        (["--to", "x.csv", "--min-severity", "bad"], "'bad' is not a severity"),
    ):
        assert says in run(tmp_path, storage, *words, code=2).stderr.decode()
    both = json.loads(run(tmp_path, storage, "--to", "-", "--json", code=2).stdout)
    assert (both["success"], "standard output" in both["error"]) == (False, True)
    assert list(tmp_path.iterdir()) == []


def test_no_binary_on_a_terminal(storage: Storage, tmp_path: Path) -> None:
    ours, terminal = pty.openpty()
    try:
        done = run(tmp_path, storage, "--to", "-", "--format", "parquet", code=2, stdout=terminal)
    finally:
        os.close(terminal)
        os.close(ours)
    assert "not for a terminal" in done.stderr.decode()


def test_a_reader_that_goes_is_no_traceback(storage: Storage, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run(tmp_path, storage, "--to", "-", code=1, stdout=writing)
    finally:
        os.close(writing)
    assert b"Traceback" not in done.stderr


def test_the_parser_of_the_command_loads_nothing_heavy() -> None:
    code = (
        "import sys, pipelines.cli.app;"
        "loaded = {'dagster', 'polars', 'duckdb', 'pyarrow', 'typst', 'xlsxwriter'} & set(sys.modules);"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
