"""A read of a few days opens the files of those days, however long the lake has been kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from assets import kernel
from resources.contract import Delivery
from resources.files import Entry, LocalFiles
from resources.lake import Lake, index, layout
from tests.lake.state import append, document, read, stored

YEARS = [date(2021, 1, 1) + timedelta(days=n) for n in range(1826)]
LAST = YEARS[-1]


class CountingFiles(LocalFiles):
    """A folder that remembers which files it was asked for, and how many folders were listed."""

    def __init__(self, root: str | Path) -> None:
        super().__init__(root)
        self.opened: list[str] = []
        self.listed: list[str] = []

    def paths(self, paths: Sequence[str]) -> list[str]:
        self.opened += paths
        return super().paths(paths)

    def list_many(self, paths: Sequence[str]) -> list[Entry]:
        self.listed += paths
        return super().list_many(paths)


@pytest.fixture(scope="module")
def five_years(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with a run on every day, stored in one batch: a file a day, as after compaction."""
    folder = tmp_path_factory.mktemp("years")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("os.fsync", lambda _: None)
        append(Lake(LocalFiles(folder)), [document(f"run of {day}", day, issues=1) for day in YEARS])
        listing = layout.data_files(LocalFiles(folder))
        index.Index(LocalFiles(folder)).tidy(listing, fold=True)
    return folder


@pytest.fixture
def files(five_years: Path) -> CountingFiles:
    return CountingFiles(five_years)


def profiled(lake: Lake, query: str, first: date, last: date) -> Iterator[int]:
    """How many files each scan of `query` read, by DuckDB's own account."""
    import re

    plan = lake.reading(
        lambda c: "\n".join(row[1] for row in c.execute(f"EXPLAIN ANALYZE {query}").fetchall()), first, last
    )
    yield from map(int, re.findall(r"Total Files Read:\s*(\d+)", plan))


def test_a_read_of_a_day_opens_its_two_files(files: CountingFiles) -> None:
    seen = read(Lake(files), LAST, LAST)
    assert seen == {f"run of {LAST}": stored(f"run of {LAST}", LAST, issues=1)}
    assert len(set(files.opened)) == 2
    assert len(files.listed) <= 3  # the day's runs, deletions, hints
    [by_duckdb] = profiled(Lake(files), "SELECT count(*) FROM issues WHERE description <> ''", LAST, LAST)
    assert by_duckdb == 1


def test_a_read_of_a_week_opens_fourteen_files(files: CountingFiles) -> None:
    assert len(read(Lake(files), LAST - timedelta(days=6), LAST)) == 7
    assert len(set(files.opened)) == 14


def test_a_table_that_is_not_asked_for_is_not_opened(files: CountingFiles) -> None:
    [(count,)] = Lake(files).reading(
        lambda c: c.execute("SELECT count(*) FROM runs").fetchall(), LAST, LAST, (layout.RUNS,)
    )
    assert count == 1
    assert {path.partition("/")[0] for path in files.opened} == {layout.RUNS}


def test_storing_opens_what_the_index_points_to(files: CountingFiles) -> None:
    chunk = kernel.build([Delivery("again", _raw(YEARS[700]))])
    appended = Lake(files).append(chunk.runs, chunk.issues)
    assert appended.duplicates == 1
    data = [path for path in files.opened if path.startswith(layout.RUNS)]
    assert data == [layout.data_files(files, [YEARS[700]])[0].runs_path]


def test_a_hint_adds_only_the_days_it_names(five_years: Path) -> None:
    lake = Lake(LocalFiles(five_years))
    moved = f"run of {YEARS[10]}"
    append(lake, [document(moved, YEARS[900], version=1, issues=1)])
    try:
        files = CountingFiles(five_years)
        assert read(Lake(files), YEARS[10], YEARS[10]) == {}
        days = {path.split("/")[1] for path in files.opened if path.startswith((layout.RUNS, layout.ISSUES))}
        assert days == {f"run_date={YEARS[10]}", f"run_date={YEARS[900]}"}
        untouched = CountingFiles(five_years)
        read(Lake(untouched), LAST, LAST)
        assert len([path for path in untouched.opened if "run_date=" in path]) <= 3
    finally:
        append(lake, [document(moved, YEARS[10], issues=1)])


def test_a_read_of_everything_gives_everything(files: CountingFiles) -> None:
    runs, issues = Lake(files).reading(
        lambda c: c.execute("SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM issues)").fetchall()[0]
    )
    assert (runs, issues) == (len(YEARS), len(YEARS))


def _raw(day: date) -> bytes:
    import json

    return json.dumps(document(f"run of {day}", day, issues=1)).encode()


def test_segments_are_sorted_by_hash(five_years: Path) -> None:
    [entry] = LocalFiles(five_years).find(layout.INDEX)
    import pyarrow.parquet as pq

    hashes = pq.read_table(five_years / entry.path)["id_hash"]
    assert hashes.type == pa.uint64()
    assert hashes.to_pylist() == sorted(hashes.to_pylist())
