"""Every storage call of every operation that writes fails once, in every way it can.

After each fault a reader sees every acknowledged run once and as it was acknowledged, and of the
runs in flight the old or the new version whole; then the same operation, done again, completes.
Call numbers are not sampled: they go up from 1 until an operation completes without its fault.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from assets import deletion
from assets.query import Query
from resources.config import Storage
from resources.contract import Rejection
from resources.errors import StorageError
from resources.files import Files, FsspecFiles, LocalFiles
from resources.lake import Lake, index, layout
from tests.faults import AFTER, BEFORE, KILLED, TORN, FaultyFsspecFiles, FaultyLocalFiles, Killed, Plan
from tests.lake.state import DAYS, NOW, State, append, document, read, stored, within

TOPS = (layout.RUNS, layout.ISSUES, layout.DELETED, layout.REPLACED, layout.REJECTED, layout.INDEX)
KILLED_WITH = 77
COMPLETED = 0


@dataclass(frozen=True)
class Operation:
    """Something that writes: what must hold whether or not it got through, and what when it did."""

    work: Callable[[Lake], object]
    before: State
    after: State
    rejected_before: frozenset[str] = frozenset()
    rejected_after: frozenset[str] = frozenset()


def base(lake: Lake) -> None:
    """Two files on the first day (one copy in them has lost), a moved run, a deleted one."""
    append(lake, [document("a"), document("b"), document("c", DAYS[1])])
    append(lake, [document("a", version=1), document("m"), document("d", DAYS[1])])
    append(lake, [document("m", DAYS[1])])
    lake.delete(["d"])
    lake.reject([REFUSED[0]])


REFUSED = [Rejection(f"in/{n}.json", b"{" * (n + 1), "$", "not JSON") for n in range(3)]
BASE: State = {
    "a": stored("a", version=1),
    "b": stored("b"),
    "c": stored("c", DAYS[1]),
    "m": stored("m", DAYS[1]),
}
NEW: State = {
    "n": stored("n", DAYS[2]),
    "a": stored("a", version=2),
    "c": stored("c", DAYS[0], version=2),
    "d": stored("d", DAYS[1], version=2),
}


def _append(lake: Lake) -> None:
    append(lake, [document(i, run.day, run.version) for i, run in NEW.items()])


def _delete(lake: Lake) -> None:
    day = str(DAYS[0])
    deletion.delete(Storage("local_file", lake), Query(date_from=day, date_to=day), "a tester")


def _delete_and_compact(lake: Lake) -> None:
    _delete(lake)
    lake.maintain(NOW)


def _take(lake: Lake) -> None:
    lake.take_rejected([r.rejected_id for r in lake.rejected()] or _ids([REFUSED[0]]))


def _ids(rejections: list[Rejection]) -> list[str]:
    from resources.lake import rejected

    return [rejected._identity(r) for r in rejections]


FIRST = frozenset({REFUSED[0].source})
OPERATIONS = {
    "append": Operation(_append, BASE, BASE | NEW, FIRST, FIRST),
    "compact a day": Operation(lambda lake: lake.compact_day(DAYS[0], NOW), BASE, BASE, FIRST, FIRST),
    "compact a day that moved": Operation(
        lambda lake: lake.compact_day(DAYS[1], NOW), BASE, BASE, FIRST, FIRST
    ),
    "maintain": Operation(lambda lake: lake.maintain(NOW), BASE, BASE, FIRST, FIRST),
    "delete": Operation(lambda lake: lake.delete(["a", "c"]), BASE, {i: BASE[i] for i in "bm"}, FIRST, FIRST),
    "delete by query": Operation(_delete, BASE, {i: BASE[i] for i in "cm"}, FIRST, FIRST),
    "delete and compact": Operation(_delete_and_compact, BASE, {i: BASE[i] for i in "cm"}, FIRST, FIRST),
    "keep rejected": Operation(
        lambda lake: lake.reject(REFUSED[1:]), BASE, BASE, FIRST, frozenset(r.source for r in REFUSED)
    ),
    "take rejected": Operation(_take, BASE, BASE, FIRST, frozenset()),
}


class Place:
    """A storage that can be set back to where the operation began."""

    modes: tuple[str, ...] = (BEFORE, AFTER, TORN)

    def reset(self) -> None:
        raise NotImplementedError

    def files(self) -> Files:
        raise NotImplementedError

    def faulty(self, plan: Plan) -> Files:
        raise NotImplementedError


class LocalPlace(Place):
    def __init__(self, folder: Path) -> None:
        self.base, self.root = str(folder / "base"), str(folder / "lake")
        base(Lake(LocalFiles(self.base)))

    def reset(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.base, self.root)

    def files(self) -> Files:
        return LocalFiles(self.root)

    def faulty(self, plan: Plan) -> Files:
        return FaultyLocalFiles(self.root, plan)


class FsspecPlace(Place):
    """Over fsspec: `memory://` puts files whole, `file://` publishes by renaming."""

    def __init__(self, url: str) -> None:
        self.modes = (BEFORE, AFTER, KILLED) if url.startswith("memory") else (BEFORE, AFTER, TORN, KILLED)
        self.base, self.url = f"{url}/base", f"{url}/lake"
        base(Lake(FsspecFiles(self.base)))

    def reset(self) -> None:
        files = FsspecFiles(self.url)
        if files.fs.exists(files.root):
            files.fs.rm(files.root, recursive=True)
        source = FsspecFiles(self.base)
        for path in source.fs.find(source.root):
            to = files.root + path.removeprefix(source.root)
            files.fs.makedirs(to.rpartition("/")[0], exist_ok=True)
            files.fs.pipe_file(to, source.fs.cat_file(path))

    def files(self) -> Files:
        return FsspecFiles(self.url)

    def faulty(self, plan: Plan) -> Files:
        return FaultyFsspecFiles(self.url, plan)


class Frozen(datetime):
    """A clock that stands still, so that the same faults leave the same files."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime(2025, 6, 1, tzinfo=UTC).astimezone(tz)


CLOCKS = ("resources.lake", "resources.lake.write", "resources.lake.rejected")


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in CLOCKS:
        monkeypatch.setattr(f"{module}.datetime", Frozen)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "local":
        return LocalPlace(tmp_path)
    return FsspecPlace(f"memory://{uuid4()}" if request.param == "memory" else f"file://{tmp_path}")


CASES = [(storage, name) for storage in ("local", "memory") for name in OPERATIONS]
CASES += [("renaming", name) for name in ("append", "compact a day", "take rejected")]


@pytest.mark.parametrize(("place", "name"), CASES, indirect=["place"])
def test_one_call_fails(place: Place, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "FILES_PER_SEGMENT", 2)
    verified: set[object] = set()
    for mode in place.modes:
        number = 0
        while True:
            number += 1
            place.reset()
            plan = Plan(number, mode)
            acknowledged = True
            try:
                OPERATIONS[name].work(Lake(place.faulty(plan)))
            except (StorageError, Killed):
                acknowledged = False
            if not plan.fired:
                break
            verify(place.files(), OPERATIONS[name], acknowledged, verified)
        assert number > 1 or mode == TORN, "nothing was tried"


def test_the_process_is_killed(tmp_path: Path) -> None:
    """A process that does nothing but fork, so that what dies has never had a thread."""
    subprocess.run(
        [sys.executable, "-m", "tests.lake.killed", str(tmp_path)], check=True, timeout=120, cwd=os.getcwd()
    )
    for name, operation in OPERATIONS.items():
        deaths = sorted((tmp_path / name).iterdir())
        assert len(deaths) > 2, name
        verified: set[object] = set()
        for death in deaths:
            verify(LocalFiles(death), operation, False, verified)


def verify(files: Files, operation: Operation, acknowledged: bool, verified: set[object]) -> None:
    """Look at what a fault has left, and do the operation again; once for the same files."""
    kept = [e.path for top in TOPS for e in files.find(top)]
    found = acknowledged, frozenset((path, sha256(files.read(path)).digest()) for path in kept)
    if found in verified:
        return
    verified.add(found)
    seen = read(Lake(files))
    either = [operation.after] if acknowledged else [operation.before, operation.after]
    for run_id in {*operation.before, *operation.after, *seen}:
        assert seen.get(run_id) in [state.get(run_id) for state in either], run_id
    assert read(Lake(files), DAYS[0], DAYS[0]) == within(seen, DAYS[0], DAYS[0])
    audits = Lake(files).deletions()
    hidden = set(operation.before) - set(seen)
    assert len(audits) == 1 + bool(hidden), "a record of every deletion, and of nothing else"
    sources = _refused(files)
    if acknowledged:
        assert sources == operation.rejected_after
    else:
        assert operation.rejected_before & operation.rejected_after <= sources
        assert sources <= operation.rejected_before | operation.rejected_after
    operation.work(Lake(files))
    assert read(Lake(files)) == operation.after
    assert read(Lake(files), DAYS[1], DAYS[2]) == within(operation.after, DAYS[1], DAYS[2])
    assert _refused(files) == operation.rejected_after
    raw = [e.path for e in files.find(layout.REJECTED) if not e.path.endswith(".parquet")]
    assert len(raw) == len(operation.rejected_after), "bytes of a delivery that is not waiting any more"


def _refused(files: Files) -> frozenset[str]:
    """The sources of what waits, each of whose bytes are there."""
    waiting = Lake(files).rejected()
    for rejected in waiting:
        assert len(files.read(rejected.path)) == rejected.bytes
    return frozenset(r.source for r in waiting)


def test_what_a_torn_file_leaves_is_not_forever(tmp_path: Path) -> None:
    """Files that a killed writer left half written go when nobody can still be at them."""
    lake = Lake(LocalFiles(tmp_path))
    append(lake, [document("a")])
    leftovers = [tmp_path / table / f"run_date={DAYS[0]}" / ".0123.part" for table in ("runs", "issues")]
    for leftover in leftovers:
        leftover.write_bytes(b"PAR1")
    lake.maintain(NOW)
    assert all(leftover.exists() for leftover in leftovers)
    for leftover in leftovers:
        old = leftover.stat().st_mtime - timedelta(days=8).total_seconds()
        os.utime(leftover, (old, old))
    lake.maintain(NOW)
    assert not any(leftover.exists() for leftover in leftovers)
