"""What is kept of files that were fetched: as much as is wanted, and all that is in use."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from resources.files import FsspecFiles, fetched
from resources.files.fetched import Fetched
from resources.lake import Lake
from tests.lake.state import append, check, document, read, stored

SIZE = 100


class Source:
    """Files of a hundred bytes, and which of them were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, paths: Sequence[str]) -> Iterable[bytes]:
        self.asked += paths
        return [path.encode().ljust(SIZE) for path in paths]


def used(kept: Fetched, source: Source, *paths: str) -> None:
    names = kept.using(lambda: [Path(n).read_bytes() for n in kept.names(paths, source)])
    assert names == [path.encode().ljust(SIZE) for path in paths]


def test_the_least_recently_used_goes() -> None:
    kept, source = Fetched(3 * SIZE), Source()
    used(kept, source, "a/1", "a/2", "a/3")
    used(kept, source, "a/1")
    used(kept, source, "b/4")
    assert source.asked == ["a/1", "a/2", "a/3", "b/4"]
    used(kept, source, "a/1", "a/3", "b/4")
    assert source.asked == ["a/1", "a/2", "a/3", "b/4"]
    used(kept, source, "a/2")
    assert source.asked[4:] == ["a/2"]


def test_what_is_in_use_stays() -> None:
    kept, source = Fetched(0), Source()

    def work() -> None:
        mine = kept.names(["1", "2"], source)
        used(kept, source, "3")
        used(kept, source, "1", "4")
        assert all(Path(name).exists() for name in mine)

    kept.using(work)
    used(kept, source, "1")
    assert source.asked == ["1", "2", "3", "4", "1"]


def test_what_nobody_gives_back_stays_for_good() -> None:
    kept, source = Fetched(0), Source()
    [mine] = kept.names(["1"], source)
    used(kept, source, "1", "2")
    assert Path(mine).exists()
    used(kept, source, "1", "2")
    assert source.asked == ["1", "2", "2"]


def test_many_at_once() -> None:
    kept, source = Fetched(2 * SIZE), Source()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for n in range(200):
                used(kept, source, *{str((n + number) % 5), str(n * number % 7)})
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_a_lake_of_elsewhere_keeps_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetched, "KEPT", 10_000)
    files = FsspecFiles(f"memory://{uuid4()}/lake")
    lake = Lake(files)
    for n in range(20):
        append(lake, [document(f"r{n}", issues=20)])
    wanted = {f"r{n}": stored(f"r{n}", issues=20) for n in range(20)}
    check(lake, wanted)
    assert lying_there(files) <= 10_000
    lake.delete(["r3"])
    lake.maintain()
    assert lying_there(files) <= 10_000
    assert read(lake).keys() == wanted.keys() - {"r3"}
    assert lying_there(files) <= 10_000


def lying_there(files: FsspecFiles) -> int:
    folder = Path(files._fetched._folder)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
