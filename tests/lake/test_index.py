"""The index of run ids: it is made anew from what has changed, and points to every run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from resources.files import LocalFiles
from resources.lake import Lake, index, layout
from resources.lake.parquet import read_table
from tests.lake.state import DAYS, append, document


class Opening(LocalFiles):
    """Remembers which files of runs were opened."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.opened: list[str] = []

    def paths(self, paths: Sequence[str]) -> list[str]:
        self.opened += [path for path in paths if path.startswith("runs/")]
        return super().paths(paths)


def days_of(files: LocalFiles, *run_ids: str) -> dict[str, list[str]]:
    """Where a fresh index finds the runs, and that it reads nothing else for it."""
    found = index.Index(files).copies(run_ids, layout.data_files(files))
    return {run_id: sorted(str(copy.day) for copy in copies) for run_id, copies in found.items()}


def folded(folder: Path) -> Opening:
    files = Opening(folder)
    index.Index(files).tidy(layout.data_files(files), fold=True)
    assert len(layout.parquet_paths(files, layout.INDEX)) == 1
    return files


def entries(files: LocalFiles) -> int:
    [segment] = files.paths(layout.parquet_paths(files, layout.INDEX))
    return read_table(segment, key=None).num_rows


def test_only_files_of_days_that_changed_are_read_again(tmp_path: Path) -> None:
    lake = Lake(LocalFiles(tmp_path))
    for number, day in enumerate(DAYS):
        append(lake, [document(f"r{number}", day)])
    assert len(folded(tmp_path).opened) == len(DAYS)
    assert folded(tmp_path).opened == []
    append(lake, [document("late", DAYS[1])])
    lake.compact_day(DAYS[1], timedelta(0))
    opened = folded(tmp_path).opened
    assert opened
    assert all(str(DAYS[1]) in path for path in opened)
    lake.delete(["r2"])
    lake.compact_day(DAYS[2], timedelta(0))
    append(lake, [document("another", DAYS[2])])
    files = folded(tmp_path)
    assert entries(files) == len(DAYS) + 1, "what has gone leaves no entry"
    wanted = {f"r{number}": [str(day)] for number, day in enumerate(DAYS) if number != 2}
    wanted |= {"late": [str(DAYS[1])], "another": [str(DAYS[2])]}
    assert days_of(files, *wanted, "nobody", "r2") == wanted
    files.opened.clear()
    assert days_of(files, "r0") == {"r0": [str(DAYS[0])]}
    assert len(files.opened) == 1


def test_many_segments_become_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "FILES_PER_SEGMENT", 1)
    monkeypatch.setattr(index, "SEGMENTS", 3)
    lake = Lake(LocalFiles(tmp_path))
    for number in range(10):
        append(lake, [document(f"r{number}", DAYS[number % len(DAYS)])])
        append(lake, [document("moves", DAYS[number % len(DAYS)], version=number)])
    files = Opening(tmp_path)
    assert 1 <= len(layout.parquet_paths(files, layout.INDEX)) <= 4
    every = days_of(files, *(f"r{number}" for number in range(10)), "moves")
    assert {run_id: days for run_id, days in every.items() if run_id != "moves"} == {
        f"r{number}": [str(DAYS[number % len(DAYS)])] for number in range(10)
    }
    assert set(every["moves"]) == {str(day) for day in DAYS}
