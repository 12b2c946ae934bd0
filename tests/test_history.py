"""The plugin's old single-file history is taken over, once, and left as it is."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import issuelake
from assets import history
from assets.history import take_over
from pipelines.opening import open_storage
from resources.errors import ConfigError
from resources.lake import Lake
from tests.test_cli import ENVIRONMENT, Cli

ISSUE = {"severity": "high", "description": "d", "category": "c"}


def run(number: int, **fields: Any) -> dict[str, Any]:
    """A run as the plugin keeps it."""
    return {
        "timestamp": f"2025-08-{number:02}T10:00:00",
        "target_plugin": "plugin",
        "pipeline_score": 80,
        "issues_list": [ISSUE] * number,
        "stored_timestamp": f"2025-08-{number:02}T10:00:01.123456",
        "validation_run_id": f"r{number}",
    } | fields


def write(folder: Path, runs: list[Any], current: Any = None, **members: Any) -> Path:
    document = {
        "validation_history": runs,
        "current_issues": current if current is not None else (runs[-1] if runs else {}),
        "last_updated": "2025-08-30T00:00:00.5",
    } | members
    path = folder / "issues.json"
    path.write_text(json.dumps(document, indent=2))
    return path


def opened(path: Path) -> Lake:
    backend = open_storage(str(path)).backend
    assert isinstance(backend, Lake)
    return backend


def stored(lake: Lake) -> dict[str, tuple[str, int]]:
    found = lake.reading(
        lambda c: c.execute(
            'SELECT validation_run_id, "timestamp"::VARCHAR, high_issues FROM runs'
        ).fetchall()
    )
    return {run_id: (moment, count) for run_id, moment, count in found}


WANTED = {f"r{n}": (f"2025-08-0{n} 10:00:00+00", n) for n in (1, 2, 3)}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_all_of_it_is_in_the_lake_beside_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, [run(n) for n in (1, 2, 3)])
    before = path.read_bytes(), path.stat().st_mtime_ns
    lake = opened(path)
    assert lake.url == str(tmp_path / "issues.lake")
    assert stored(lake) == WANTED
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert "Took 3 runs of" in caplog.text
    caplog.clear()
    lake.delete(["r2"])
    assert stored(opened(path)).keys() == {"r1", "r3"}, "what was taken over once is not taken over again"
    assert caplog.text == ""


def test_what_a_run_lacks_is_told_by_the_history(tmp_path: Path) -> None:
    nameless = run(1)
    del nameless["validation_run_id"], nameless["timestamp"]
    bare = {"issues_list": [ISSUE, ISSUE]}
    path = write(tmp_path, [nameless, bare], current=bare)
    found = stored(opened(path))
    assert sorted(found.values()) == [
        ("2025-08-01 10:00:01.123456+00", 1),
        ("2025-08-30 00:00:00.5+00", 2),
    ]
    (tmp_path / "again").mkdir()
    same = write(tmp_path / "again", [nameless, bare])
    assert stored(opened(same)) == found, "ids are made of what is there"


def test_the_newest_run_alone_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "issues.json"
    path.write_text(json.dumps({"current_issues": run(2)}))
    assert stored(opened(path)) == {"r2": WANTED["r2"]}


def test_a_run_stored_several_times_counts_as_it_was_last(tmp_path: Path) -> None:
    path = write(tmp_path, [run(1), run(2), run(1, issues_list=[])], current=run(2, issues_list=[ISSUE] * 5))
    found = stored(opened(path))
    assert {i: count for i, (_, count) in found.items()} == {"r1": 0, "r2": 5}


def test_what_breaks_the_contract_is_kept_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    summary = {"validation_run_id": "s", "timestamp": "2025-08-05T10:00:00", "total_issues": 7}
    runs = [run(1), run(4, issues_list=[{"severity": "hgih", "description": ""}]), "text", summary, run(3)]
    path = write(tmp_path, runs)
    lake = opened(path)
    assert stored(lake) == {i: WANTED[i] for i in ("r1", "r3")}
    assert {(r.position, r.pointer): json.loads(lake.files.read(r.path)) for r in lake.rejected()} == {
        (2, "$.issues_list[0].severity"): runs[1],
        (3, "$"): "text",
        (4, "$.issues_list"): summary,
    }
    assert "3 were rejected: see `issuelake rejected list`" in caplog.text


def test_what_only_python_calls_json(tmp_path: Path) -> None:
    path = write(tmp_path, [run(1), run(2, pipeline_score=float("nan"))], current=run(3))
    lake = opened(path)
    assert stored(lake) == {i: WANTED[i] for i in ("r1", "r3")}
    assert [r.pointer for r in lake.rejected()] == ["$.pipeline_score"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is not JSON"),
        ("{", "it is not JSON"),
        ("[]", "not an object with a list under validation_history"),
        ('{"validation_history": {}}', "not an object with a list under validation_history"),
        ('{"validation_run_id": "r", "issues_list": []}', "neither validation_history nor current_issues"),
        ("[" * 100_000, "it is not JSON"),
    ],
)
def test_a_file_that_is_no_history(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "issues.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=told):
        opened(path)
    assert sorted(os.listdir(tmp_path)) == ["issues.json"]


def test_without_a_file_it_is_an_empty_lake(tmp_path: Path) -> None:
    lake = opened(tmp_path / "issues.json")
    assert stored(lake) == {}
    assert os.listdir(tmp_path) == []
    write(tmp_path, [run(1)])
    assert stored(opened(tmp_path / "issues.json")).keys() == {"r1"}


def test_many_at_once_take_it_over_once(tmp_path: Path) -> None:
    path = write(tmp_path, [run(n) for n in (1, 2, 3)])
    program = (
        "import sys; from pipelines.opening import open_storage; from assets import history;"
        f"backend = open_storage({str(path)!r}).backend;"
        "print(len(backend.days()))"
    )
    words = [sys.executable, "-c", program]
    with ThreadPoolExecutor(4) as pool:
        done = list(
            pool.map(
                lambda _: subprocess.run(words, env=ENVIRONMENT, capture_output=True, check=True), range(4)
            )
        )
    assert [d.stdout for d in done] == [b"3\n"] * 4
    assert sum(b"Took 3 runs" in d.stderr for d in done) == 1
    lake = Lake(opened(path).files)
    assert stored(lake) == WANTED
    assert len(lake.files.find("runs")) == 3


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_crash_midway_is_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    class Killed(BaseException):
        pass

    path = write(tmp_path, [run(1), "text", run(2), run(3)])
    monkeypatch.setattr(history, "_PART_BYTES", 1)
    calls = iter(range(call))
    kept = Lake.append

    def killed(self: Lake, *tables: Any) -> Any:
        appended = kept(self, *tables)
        if next(calls, None) == call - 1:
            raise Killed
        return appended

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "append", killed)
        with pytest.raises(Killed):
            opened(path)
    lake = opened(path)
    assert stored(lake) == WANTED
    assert len(lake.rejected()) == 1


def test_every_door_takes_it_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    monkeypatch.chdir(tmp_path)
    for door in ("command", "operation", "connect", "run", "dagster"):
        (tmp_path / door).mkdir()
        path = write(tmp_path / door, [run(1)])
        config = {
            "storage_backend": "local_file",
            "storage_config": {"local_file": {"storage_path": str(path)}},
        }
        if door == "command":
            done = cli.run("summary", "--storage", str(path), "--json")
            assert json.loads(done.stdout)["issue_summary"]["total_issues"] == 1
            assert b"Took 1 runs" in done.stderr
        elif door == "operation":
            answer = asyncio.run(issuelake.process({"operation": "get_latest_issues", **config}))
            assert answer["issues_data"]["validation_run_id"] == "r1"
        elif door == "connect":
            assert issuelake.connect(str(path)).sql("FROM runs").fetchall()
        elif door == "run":
            done = cli.run("run", "--input", json.dumps({"operation": "get_issues", **config}))
            assert json.loads(done.stdout)["issues_data"]["total_count"] == 1
        else:
            from pipelines.definitions import OpenedLake

            file = tmp_path / "c.json"
            file.write_text(json.dumps(config))
            monkeypatch.setenv("ISSUELAKE_CONFIG", str(file))
            assert len(OpenedLake().open().days()) == 1
            (tmp_path / "by storage").mkdir()
            path = write(tmp_path / "by storage", [run(1)])
            assert len(OpenedLake(storage=str(path)).open().days()) == 1


def test_an_old_history_can_be_migrated(cli: Cli) -> None:
    write(cli.folder, [run(n) for n in (1, 2, 3)])
    assert cli.json("migrate", "--from", "issues.json", "--to", "other")["runs_copied"] == 3


def test_another_lake_has_nothing_to_take_over(tmp_path: Path) -> None:
    assert take_over(open_storage(str(tmp_path / "lake")).backend) is None
