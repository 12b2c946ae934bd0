"""`issuelake run` in real processes: where the document comes from, what is printed, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUN = {"validation_run_id": "run-1", "timestamp": "2025-08-29T10:00:00Z", "issues_list": []}
STORE = {"issues": RUN}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str, code: int = 0, stdin: str | bytes = b"", **environment: str) -> Any:
    """The one JSON document that `issuelake run` prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "from pipelines.cli import main; main()", "run", *words],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": ":".join(sys.path), **environment},
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr.decode() + done.stdout.decode()
    assert done.stderr == b""
    return json.loads(done.stdout)


def test_inline_file_and_standard_input_are_the_same(folder: Path) -> None:
    (folder / "store.json").write_text(json.dumps(STORE))
    run_in_yaml = "{validation_run_id: run-1, timestamp: 2025-08-29T10:00:00Z, issues_list: []}"
    (folder / "store.yaml").write_text(f"issues: {run_in_yaml}")
    statuses = [
        answer["issues_data"]["runs"][0]["status"]
        for answer in (
            run("--input", json.dumps(STORE)),
            run("-i", "store.json"),
            run("-i", "store.yaml"),
            run("-i", "-", stdin=b"\xef\xbb\xbf" + json.dumps(STORE).encode()),
            run("-i", "-", stdin=(folder / "store.yaml").read_text()),
        )
    ]
    assert statuses == ["stored", *["duplicate"] * 4]
    assert run("-i", '{"operation": "get_issue_summary"}')["issue_summary"]["overall"]["runs"] == 1


def test_the_storage_comes_from_the_document_or_the_options(folder: Path) -> None:
    (folder / "config.yaml").write_text("storage_config: {local_file: {storage_path: configured}}")
    run("-i", json.dumps(STORE), "--storage", "optional")
    run("-i", json.dumps(STORE), "--config", "config.yaml")
    run(
        "-i",
        json.dumps(STORE | {"storage_config": {"local_file": {"storage_path": "own"}}}),
        "-s",
        "optional",
    )
    run("-i", json.dumps(STORE), ISSUELAKE_CONFIG="config.yaml")
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["configured", "optional", "own"]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("nowhere.json", "Could not read the operation document 'nowhere.json': No such file"),
        ("{", "the inline document is no operation document: $: not JSON"),
        ('{"operation": "get_issues", "operation": "delete_issues"}', "the key 'operation' occurs twice"),
        ('{"issues": {"metadata": {"x": NaN}}}', "$.issues.metadata.x: NaN is not a finite number"),
        ('{"operation": "get_isues"}', "'get_isues' is not known; known are store_issues"),
        ('{"operation": "get_issues", "query": {"limit": 0}}', "query.limit is 0"),
    ],
)
def test_wrong_usage_exits_with_2(document: str, says: str) -> None:
    answer = run("-i", document, code=2)
    assert answer["success"] is False
    assert says in answer["error"]
    assert answer["operation_result"]["records_affected"] == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("operation: get_issues\noperation: delete_issues\n", "the key 'operation' occurs twice"),
        ("a: &a [x, x]\nb: [*a, *a]\n", "aliases are not taken here"),
        ("operation: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("issues: {metadata: {1: x}}\n", "the key 1 is no text (quote it)"),
        ("operation: [\n", "standard input is no operation document"),
        ("", "mapping"),
        ("[1]", "mapping"),
    ],
)
def test_yaml_that_is_not_plain_is_refused(text: str, says: str) -> None:
    assert says in run("-i", "-", stdin=text, code=2)["error"]


def test_dates_in_yaml_stay_text() -> None:
    run("-i", "-", stdin="issues: {timestamp: 2025-08-29T12:00:00+02:00, metadata: {day: 2025-08-29}}")
    latest = run("-i", '{"operation": "get_latest_issues"}')["issues_data"]
    assert latest["timestamp"] == "2025-08-29T10:00:00Z"
    assert latest["metadata"] == {"day": "2025-08-29"}


def test_a_rejected_run_and_a_broken_storage_exit_with_1(folder: Path) -> None:
    assert "hgih" in run("-i", '{"issues": {"change_type": "hgih"}}', code=1)["error"]
    (folder / "file").write_text("")
    broken = run("-i", '{"operation": "get_issues"}', "--storage", "file/lake", code=1)
    assert broken["operation_result"]["storage_backend_used"] == "local_file"
    health = run("-i", '{"operation": "get_health_status"}', "--storage", "file/lake", code=1)
    assert health["health_status"]["storage_healthy"] is False


def test_reading_loads_neither_dagster_nor_polars_nor_yaml() -> None:
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.argv = ['issuelake', 'run', '-i', '{\"operation\": \"get_latest_issues\"}']\n"
            "from pipelines.cli import main\n"
            "try: main()\nexcept SystemExit: pass\n"
            "print({'dagster', 'polars', 'pyarrow', 'yaml', 'asyncio'} & set(sys.modules))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.splitlines()[-1] == "set()"
