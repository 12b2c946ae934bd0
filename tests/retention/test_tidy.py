"""Outlines are put together, and what does not count any more is removed, without a figure that changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from assets.retention import tidy as tidying
from assets.retention.outlines import FOLDER
from assets.retention.tidy import tidy
from resources.backend import Backend
from resources.config import open_storage
from resources.lake.parquet import decode
from tests.problems.histories import expected, lifecycle, store
from tests.retention.test_figures import RUNS_OF_TEN_DAYS, let_go


@pytest.fixture
def lake(tmp_path: Path) -> Backend:
    return open_storage(str(tmp_path / "lake")).backend


def outlined(lake: Backend) -> list[list[str]]:
    """The runs in each file of outlines of runs, and of issues."""
    return [
        sorted(set(decode(lake.files.read(entry.path), key=None)["validation_run_id"].to_pylist()))
        for entry in sorted(lake.files.find(FOLDER), key=lambda entry: entry.path)
    ]


def test_many_small_files_become_one(lake: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "FILES_AT_MOST", 2)
    store(lake, RUNS_OF_TEN_DAYS)
    for n in range(1, 4):
        let_go(lake, [f"run-{n}"])
    tidy(lake.files)
    assert len(outlined(lake)) == 8  # what was put together stays for its grace
    assert lifecycle(lake) == expected(RUNS_OF_TEN_DAYS)
    tidy(lake.files, grace=-1)
    assert outlined(lake) == [["run-1", "run-2"], ["run-1", "run-2", "run-3"]]  # run-3 has no issues
    assert lifecycle(lake) == expected(RUNS_OF_TEN_DAYS)
    before = lake.files.find(FOLDER)
    tidy(lake.files, grace=-1)
    assert lake.files.find(FOLDER) == before


def test_what_somebody_deleted_is_removed_for_good(lake: Backend) -> None:
    store(lake, RUNS_OF_TEN_DAYS)
    let_go(lake, ["run-1", "run-2"])
    let_go(lake, ["run-4"])
    lake.delete(["run-1", "run-4"])
    for _ in range(2):
        tidy(lake.files, grace=-1)
        left = [run for run in RUNS_OF_TEN_DAYS if run.run_id not in ("run-1", "run-4")]
        assert lifecycle(lake) == expected(left)
    assert outlined(lake) == [["run-2"], ["run-2"]]


def test_what_is_under_way_is_left_alone(lake: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    store(lake, RUNS_OF_TEN_DAYS)
    with monkeypatch.context() as patched:
        patched.setattr(lake, "record", lambda *_: None)
        let_go(lake, ["run-1"])
    tidy(lake.files, grace=-1)
    assert outlined(lake) == [["run-1"], ["run-1"]]
    monkeypatch.setattr(tidying, "ORPHAN_AGE", -tidying.DEFAULT_GRACE)
    tidy(lake.files, grace=-1)
    assert outlined(lake) == []
    assert lifecycle(lake) == expected(RUNS_OF_TEN_DAYS)
