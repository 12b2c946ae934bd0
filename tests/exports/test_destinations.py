"""An export is at its destination whole, or the destination is as it was."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from assets.exports import export
from assets.query import Query
from resources.config import Storage
from resources.errors import StorageError, UsageError
from tests import servers

ROOT = Path(__file__).parents[2]


class Rename(LocalFileSystem):
    """A storage without an atomic put, on which calls can be made to fail."""

    protocol = "renaming"
    broken: tuple[str, ...] = ()
    over_a_file = True

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        super().put_file(lpath, rpath, **options)
        if "put" in self.broken:
            raise OSError("connection lost")

    def mv(self, path1: str, path2: str, **options: Any) -> None:
        if "mv" in self.broken:
            raise OSError("connection lost")
        if self.over_a_file or not self.exists(path2):
            super().mv(path1, path2, **options)


@pytest.fixture
def renaming() -> Iterator[type[Rename]]:
    fsspec.register_implementation("renaming", Rename, clobber=True)
    yield Rename
    Rename.broken, Rename.over_a_file = (), True


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_an_older_file_is_replaced(storage: Storage, tmp_path: Path) -> None:
    target = tmp_path / "issues.json"
    target.write_text("old")
    export(storage, Query(), None, str(target))
    assert len(json.loads(target.read_bytes())) > 1
    assert names(tmp_path) == ["issues.json"]


def test_folders_are_made(storage: Storage, tmp_path: Path) -> None:
    export(storage, Query(), None, f"file://{tmp_path}/a/b/issues.csv", manifest=True)
    assert names(tmp_path / "a" / "b") == ["issues.csv", "issues.csv.manifest.json"]


def test_a_link_stays_a_link(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    export(storage, Query(), None, str(tmp_path / "link.json"))
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() != "old"


@pytest.mark.parametrize("name", ["csv", "ndjson", "parquet", "html", "yaml", "xlsx", "sarif", "pdf"])
def test_a_full_disk_leaves_the_old_file(storage: Storage, tmp_path: Path, name: str) -> None:
    """Every way of writing, with a real limit on how long a file may get."""
    target = tmp_path / "new" / f"issues.{name}"
    code = (
        "import sys; from assets.exports import export; from assets.query import Query;"
        "from resources.config import open_storage; import resource;"
        "from resources.errors import StorageError;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: export(open_storage(sys.argv[1]), Query(), None, sys.argv[2])\n"
        "except StorageError as error: print(error)"
    )
    command = [sys.executable, "-c", code, storage.backend.url, str(target)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for old in (None, "old"):
        if old:
            target.parent.mkdir()
            target.write_text(old)
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.stdout.startswith(f"Could not write {target}: "), (done.stdout, done.stderr)
        if old:
            assert names(target.parent) == [target.name]
            assert target.read_text() == old
        else:
            assert names(tmp_path) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize("broken", ["put", "mv"])
def test_a_lost_connection_leaves_the_old_file(
    storage: Storage, tmp_path: Path, renaming: type[Rename], broken: str
) -> None:
    target = tmp_path / "issues.csv"
    target.write_text("old")
    renaming.broken = (broken,)
    with pytest.raises(StorageError, match=r"Could not write renaming://.*connection lost"):
        export(storage, Query(), None, f"renaming://{target}")
    assert names(tmp_path) == ["issues.csv"]
    assert target.read_text() == "old"


@pytest.mark.parametrize("over_a_file", [True, False])
def test_storages_that_rename(
    storage: Storage, tmp_path: Path, renaming: type[Rename], over_a_file: bool
) -> None:
    target = tmp_path / "sub" / "issues.csv"
    target.parent.mkdir()
    target.write_text("old")
    renaming.over_a_file = over_a_file
    done = export(storage, Query(), None, f"renaming://{target}", manifest=True)["issues_data"]
    assert hashlib.sha256(target.read_bytes()).hexdigest() == done["sha256"]
    assert names(target.parent) == ["issues.csv", "issues.csv.manifest.json"]
    assert done["manifest_path"] == f"renaming://{target}.manifest.json"


def test_in_memory(storage: Storage) -> None:
    done = export(storage, Query(), None, "memory://exports/issues.csv")["issues_data"]
    content = fsspec.filesystem("memory").cat_file("/exports/issues.csv")
    assert hashlib.sha256(content).hexdigest() == done["sha256"]


def test_on_s3(storage: Storage, s3_server: servers.Storage) -> None:
    url = f"{s3_server.url}/exports/issues.parquet"
    options = s3_server.options
    for _ in range(2):
        done = export(storage, Query(), None, url, True, options)["issues_data"]
    fs, path = fsspec.url_to_fs(url, **options, skip_instance_cache=True)
    assert hashlib.sha256(fs.cat_file(path)).hexdigest() == done["sha256"]
    found = fs.ls(path.rpartition("/")[0], detail=False)
    assert sorted(found) == [path, f"{path}.manifest.json"]


def test_over_sftp(storage: Storage, sftp_server: servers.Storage) -> None:
    url = f"{sftp_server.url}/exports/issues.json"
    for _ in range(2):
        done = export(storage, Query(), None, url, False, sftp_server.options)["issues_data"]
    fs, path = fsspec.url_to_fs(url, **sftp_server.options, skip_instance_cache=True)
    assert hashlib.sha256(fs.cat_file(path)).hexdigest() == done["sha256"]
    assert [os.path.basename(p) for p in fs.ls(path.rpartition("/")[0], detail=False)] == ["issues.json"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("{folder}", "is a folder"),
        ("{folder}/new/", "is a folder"),
        ("/dev/null", "not a regular file"),
        ("memory://", "is a folder"),
        ("nowhere://a/b.csv", "not a known storage"),
        ("{folder}/issues.txt", "does not tell the format"),
        ("{lake}/issues/run_date=2025-01-01/x.parquet", "the lake's own folder issues"),
        ("file://{lake}/runs/x.csv", "the lake's own folder runs"),
    ],
)
def test_what_is_no_destination(storage: Storage, tmp_path: Path, path: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        export(
            storage,
            Query(),
            None if "txt" in path else "csv",
            path.format(folder=tmp_path, lake=storage.backend.url),
        )
    assert names(tmp_path) == []


def test_secrets_in_a_url_are_not_answered(storage: Storage) -> None:
    done = export(storage, Query(), "csv", "memory://user:secret@exports/s.csv")
    assert "secret" not in json.dumps(done)
