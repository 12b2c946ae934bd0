"""A lake in a folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow.parquet
import pytest

from resources.errors import StorageError, Vanished
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


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOENT, Vanished), (errno.ESTALE, Vanished), (errno.EIO, StorageError)]
)
def test_what_the_system_refuses_to_read_is_an_error_of_the_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StorageError]
) -> None:
    append(Lake(LocalFiles(tmp_path)), [document("a")])

    def refuse(name: str, **_: object) -> None:
        raise OSError(number, os.strerror(number), name)

    monkeypatch.setattr(pyarrow.parquet, "ParquetFile", refuse)
    with pytest.raises(StorageError) as caught:
        append(Lake(LocalFiles(tmp_path)), [document("a")])
    assert type(caught.value) is kind
    assert str(tmp_path) in str(caught.value)


def test_a_rename_that_is_refused_the_second_time_has_been_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file server does that was asked again after it had gone away."""
    rename = os.rename

    def twice(source: str, target: str) -> None:
        rename(source, target)
        rename(source, target)

    monkeypatch.setattr(os, "rename", twice)
    lake = Lake(LocalFiles(tmp_path))
    append(lake, [document("a")])
    check(lake, {"a": stored("a")})
