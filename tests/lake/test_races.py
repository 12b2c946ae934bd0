"""Two at work in the same moment, at the very point where it would hurt."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from resources.files import Entry, LocalFiles
from resources.lake import Lake, index, layout
from tests.backends.contract import clock, delete
from tests.lake.contract import holding
from tests.lake.state import DAYS, NOW, append, check, document, read, stored

HOUR = timedelta(hours=1)


class Meanwhile(LocalFiles):
    """A folder in which something else happens just before the first call that `when` picks."""

    def __init__(self, root: Path, when: Callable[[str, str], bool], what: Callable[[], object]) -> None:
        super().__init__(root)
        self._when = when
        self._what: Callable[[], object] | None = what

    def _look(self, verb: str, path: str) -> None:
        if self._what is not None and self._when(verb, path):
            what, self._what = self._what, None
            what()

    @property
    def happened(self) -> bool:
        return self._what is None

    def list_many(self, paths: Sequence[str]) -> list[Entry]:
        found = super().list_many(paths)
        for path in paths:
            self._look("listed", path)
        return found

    def paths(self, paths: Sequence[str]) -> list[str]:
        for path in paths:
            self._look("open", path)
        return super().paths(paths)

    def publish(self, path: str, data: bytes, renew: bool = False) -> None:
        self._look("publish", path)
        super().publish(path, data, renew)

    def remove(self, path: str) -> None:
        self._look("remove", path)
        super().remove(path)


def test_the_same_run_is_stored_by_two_while_the_day_is_compacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second writer commits between a compaction's removal of the first's runs and issues, and
    its clock is ahead, so that its copy would count."""
    has_looked_up, go = threading.Event(), threading.Event()

    def wait() -> None:
        has_looked_up.set()
        go.wait(20)

    def second_writer() -> None:
        append(Lake(Meanwhile(tmp_path, lambda verb, _: verb == "publish", wait)), [document("a")])

    second = threading.Thread(target=second_writer)
    with monkeypatch.context() as patched:
        patched.setattr("resources.lake.write.datetime", clock(HOUR))
        second.start()
        assert has_looked_up.wait(20)
    append(Lake(LocalFiles(tmp_path)), [document("a")])
    append(Lake(LocalFiles(tmp_path)), [document("z")])

    def let_it_go() -> None:
        go.set()
        second.join(20)

    compactor = Meanwhile(tmp_path, lambda verb, path: (verb, path[:6]) == ("remove", "issues"), let_it_go)
    Lake(compactor).compact_day(DAYS[0], NOW)
    assert compactor.happened
    wanted = {"a": stored("a"), "z": stored("z")}
    check(Lake(LocalFiles(tmp_path)), wanted)
    Lake(LocalFiles(tmp_path)).maintain(NOW)
    check(Lake(LocalFiles(tmp_path)), wanted)


@pytest.mark.parametrize("listed_first", [DAYS[0], DAYS[1]])
def test_a_run_moves_while_a_reader_lists(tmp_path: Path, listed_first: object) -> None:
    """The reader has listed the day it moves to; the day it leaves is empty then, and is compacted."""
    lake = Lake(LocalFiles(tmp_path))
    [to] = [day for day in DAYS[:2] if day == listed_first]
    [away] = [day for day in DAYS[:2] if day != listed_first]
    append(lake, [document("a", away), document("z", to)])
    age(tmp_path, hours=5)

    def move() -> None:
        append(lake, [document("a", to)])
        lake.compact_day(away, HOUR)

    reader = Meanwhile(tmp_path, lambda verb, path: (verb, path) == ("listed", f"runs/run_date={to}"), move)
    assert set(read(Lake(reader))) == {"a", "z"}
    assert reader.happened
    check(lake, {"a": stored("a", to), "z": stored("z", to)})


def test_the_keeper_of_a_day_is_older_than_what_it_supersedes(tmp_path: Path) -> None:
    """The grace period runs from when the last copy lost, not from when the keeper was written."""
    lake = Lake(LocalFiles(tmp_path))
    append(lake, [document("b")])
    append(lake, [document("b", version=1)])
    lake.compact_day(DAYS[0], NOW)
    append(lake, [document("a")])
    age(tmp_path, hours=5)
    append(lake, [document("a", DAYS[1])])
    assert lake.compact_day(DAYS[0], HOUR).files_after == 2
    assert lake.compact_day(DAYS[0], NOW).files_after == 1
    check(lake, {"a": stored("a", DAYS[1]), "b": stored("b", version=1)})


def test_a_compaction_removes_what_a_writer_looks_up(tmp_path: Path) -> None:
    lake = Lake(LocalFiles(tmp_path))
    for n in range(3):
        append(lake, [document("a", version=n)])
    writer = Meanwhile(
        tmp_path, lambda verb, path: (verb, path[:5]) == ("open", "runs/"), lambda: lake.maintain(NOW)
    )
    assert append(Lake(writer), [document("a", version=3), document("b")]).runs_stored == 2
    assert writer.happened
    check(lake, {"a": stored("a", version=3), "b": stored("b")})


def test_a_compaction_removes_what_a_writer_looks_at_again(tmp_path: Path) -> None:
    """Two move a run at a time, and a compaction removes the first one's file under the second."""
    lake = Lake(LocalFiles(tmp_path))
    append(lake, [document("a")])

    def other() -> None:
        append(lake, [document("a", DAYS[1], version=1)])
        append(lake, [document("z", DAYS[1])])

    class Twice(Meanwhile):
        def paths(self, paths: Sequence[str]) -> list[str]:
            if self.happened and any(str(DAYS[1]) in path for path in paths) and not compacted:
                compacted.append(lake.compact_day(DAYS[1], NOW))
            return super().paths(paths)

    compacted: list[object] = []
    writer = Twice(tmp_path, lambda verb, path: (verb, path[:5]) == ("publish", "runs/"), other)
    append(Lake(writer), [document("a", DAYS[2], version=2)])
    assert compacted
    seen = read(lake)
    assert seen["a"] in (stored("a", DAYS[1], version=1), stored("a", DAYS[2], version=2))
    check(lake, seen)


def test_a_held_up_compaction_publishes_what_was_superseded_long_ago(tmp_path: Path) -> None:
    lake = Lake(LocalFiles(tmp_path))
    append(lake, [document("a")])
    append(lake, [document("b")])

    def others() -> None:
        append(lake, [document("c")])
        lake.delete(["a"])
        for _ in range(2):
            lake.compact_day(DAYS[0], NOW)

    held_up = Meanwhile(tmp_path, lambda verb, path: (verb, path[:5]) == ("publish", "runs/"), others)
    Lake(held_up).compact_day(DAYS[0], NOW)
    assert held_up.happened
    wanted = {i: stored(i) for i in "bc"}
    check(lake, wanted)
    for _ in range(2):
        lake.compact_day(DAYS[0], NOW)
    check(lake, wanted)
    assert len(layout.data_files(lake.files)) == 1


@pytest.mark.parametrize("verb", ["publish", "remove"])
@pytest.mark.parametrize("table", ["runs/", "issues"])
def test_a_deletion_while_a_day_is_compacted(tmp_path: Path, verb: str, table: str) -> None:
    """The compaction chose before, so what it writes still has the run; the next one removes it."""
    lake = Lake(LocalFiles(tmp_path))
    append(lake, [document("secret"), document("a")])
    append(lake, [document("b")])
    compactor = Meanwhile(
        tmp_path,
        lambda said, path: (said, path[: len(table)]) == (verb, table),
        lambda: delete(lake, run_id="secret"),
    )
    Lake(compactor).compact_day(DAYS[0], NOW)
    assert compactor.happened
    wanted = {"a": stored("a"), "b": stored("b")}
    check(lake, wanted)
    assert holding(lake, "secret v0")
    lake.compact_day(DAYS[0], NOW)
    check(lake, wanted)
    assert not holding(lake, "secret v0")


@pytest.mark.parametrize("table", ["runs/", "issues"])
def test_a_deletion_while_its_run_is_stored_anew(tmp_path: Path, table: str) -> None:
    """Whichever counts as first: the run is gone, or there in its new version, for every reader."""
    lake = Lake(LocalFiles(tmp_path))
    append(lake, [document("a"), document("b")])
    writer = Meanwhile(
        tmp_path,
        lambda verb, path: (verb, path[: len(table)]) == ("publish", table),
        lambda: delete(lake, all=True),
    )
    append(Lake(writer), [document("a", DAYS[1], version=1), document("new")])
    assert writer.happened
    seen = read(lake)
    assert set(seen) - {"a"} == {"new"}, "a run that no deletion chose stays"
    assert seen.get("a", stored("a", DAYS[1], version=1)) == stored("a", DAYS[1], version=1)
    check(lake, seen)
    lake.maintain(NOW)
    check(lake, seen)
    append(lake, [document("a", DAYS[1], version=1)])
    check(lake, {"a": stored("a", DAYS[1], version=1), "new": stored("new")})


def test_a_store_while_its_run_is_deleted(tmp_path: Path) -> None:
    """The deletion has chosen and counted; another version of the run and a new run come before its mark."""
    lake = Lake(LocalFiles(tmp_path))
    append(lake, [document("a"), document("b")])
    deleter = Meanwhile(
        tmp_path,
        lambda verb, path: (verb, path[:8]) == ("publish", "deleted/"),
        lambda: append(lake, [document("a", version=1), document("new")]),
    )
    assert delete(Lake(deleter), all=True)["issues_data"]["runs_deleted"] == 2
    assert deleter.happened
    check(lake, {"a": stored("a", version=1), "new": stored("new")})
    assert delete(lake, run_id="a")["issues_data"]["runs_deleted"] == 1
    check(lake, {"new": stored("new")})


def test_an_old_orphan_is_committed_while_it_is_removed(tmp_path: Path) -> None:
    lake = Lake(LocalFiles(tmp_path))
    append(lake, [document("a")])
    [data_file] = layout.data_files(lake.files)
    runs = lake.files.read(data_file.runs_path)
    lake.files.remove(data_file.runs_path)
    age(tmp_path, hours=24 * 8)
    compactor = Meanwhile(
        tmp_path,
        lambda verb, path: (verb, path[:6]) == ("remove", "issues"),
        lambda: lake.files.publish(data_file.runs_path, runs),
    )
    Lake(compactor).compact_day(DAYS[0], NOW)
    assert compactor.happened
    check(lake, {"a": stored("a")})


def test_segments_are_folded_while_a_writer_looks_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "FILES_PER_SEGMENT", 1)
    lake = Lake(LocalFiles(tmp_path))
    for n in range(4):
        append(lake, [document(f"r{n}")])

    def fold() -> None:
        index.Index(lake.files).tidy(layout.data_files(lake.files), fold=True)

    writer = Meanwhile(tmp_path, lambda verb, path: (verb, path[:6]) == ("open", "index/"), fold)
    assert append(Lake(writer), [document("r0"), document("new")]).duplicates == 1
    assert writer.happened
    check(lake, {i: stored(i) for i in ("r0", "r1", "r2", "r3", "new")})


def age(folder: Path, hours: float) -> None:
    """Make every file of a lake older."""
    for path in folder.rglob("*.parquet"):
        old = path.stat().st_mtime - hours * 3600
        os.utime(path, (old, old))
