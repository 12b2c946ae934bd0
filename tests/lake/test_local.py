"""A lake in a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resources.files import LocalFiles
from resources.lake import Lake
from tests.lake.contract import LakeContract
from tests.lake.state import append, check, document, stored
from tests.servers import Storage


class TestLocalLake(LakeContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Storage:
        return Storage(str(tmp_path / "a lake's folder"))

    def test_files_are_as_readable_as_the_umask_says(self, place: Storage, lake: Lake) -> None:
        mask = os.umask(0o027)
        try:
            append(lake, [document("a")])
        finally:
            os.umask(mask)
        modes = {p.stat().st_mode & 0o777 for p in Path(place.url).rglob("*.parquet")}
        assert modes == {0o640}

    def test_a_url_and_a_path_are_the_same_lake(self, place: Storage, lake: Lake) -> None:
        append(lake, [document("a")])
        check(self.another(Storage(f"file://{place.url}")), {"a": stored("a")})


def test_a_file_that_goes_while_its_folder_is_listed_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcdef":
        (tmp_path / f"{name}.parquet").write_bytes(b"x")
    scandir = os.scandir
    files = LocalFiles(tmp_path.parent)

    class Removing:
        """A listing whose first entry is removed once it has been read."""

        def __init__(self, path: str) -> None:
            with scandir(path) as entries:
                self.entries = list(entries)
            self.removed = self.entries[0].name
            os.unlink(self.entries[0].path)

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *error: object) -> None:
            pass

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", Removing)
        found = files.list_many([tmp_path.name])
    assert len(found) == 5
