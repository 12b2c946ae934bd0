"""Storages that leave a call without an answer: an error in time, and no thread too many."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from resources.config import active, configured
from resources.deadline import begin
from resources.errors import ConfigError, StorageError
from resources.files import LocalFiles, MountedFiles
from resources.lake import Lake
from tests.lake.buckets import calls, open_lake, patiently, refused
from tests.lake.state import append, check, document, read, stored
from tests.proxy import Proxy, proxy
from tests.servers import Storage

SECONDS = 1.0
MARGIN = 3.0


class Silent(MountedFiles):
    """A folder whose server answers only while the pipe `asked` has somebody at its other end."""

    def __init__(self, root: Path, pipe: Path) -> None:
        super().__init__(root, SECONDS)
        self.pipe = pipe

    def ask(self) -> None:
        with self.pipe.open("rb") as pipe:
            pipe.read()


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """Whoever opens it to read waits, as for a server that has gone, until the test ends."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    before = threading.active_count()
    yield path
    patience = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < patience:
        release(path)
    assert threading.active_count() <= before


def release(pipe: Path) -> None:
    """All who wait at `pipe` find its end."""
    with suppress(OSError):  # nobody waits
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    time.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A lake with one run."""
    path = tmp_path / "lake"
    append(Lake(LocalFiles(path)), [document("a")])
    return path


def silence(folder: Path, pipe: Path, table: str) -> tuple[Path, bytes]:
    """A file of the lake becomes one that can be opened but not read."""
    [file] = (folder / table).rglob("*.parquet")
    data = file.read_bytes()
    file.unlink()
    os.link(pipe, file)
    return file, data


def test_a_call_that_is_answered_leaves_no_thread(folder: Path) -> None:
    before = threading.active_count()
    lake = Lake(MountedFiles(folder, SECONDS))
    for n in range(20):
        append(lake, [document(f"b{n}")])
        read(lake)
    lake.maintain()
    assert threading.active_count() <= before


@pytest.mark.parametrize("table", ["runs", "issues"])
def test_a_read_without_an_answer_is_given_up(folder: Path, pipe: Path, table: str) -> None:
    lake = Lake(Silent(folder, pipe))
    file, data = silence(folder, pipe, table)
    for call in (
        (lambda: read(lake), lambda: append(lake, [document("a")]))
        if table == "runs"
        else (lambda: read(lake),)
    ):
        started = time.monotonic()
        with pytest.raises(StorageError, match=r"has not answered for 1 s \(timeout_seconds\)"):
            call()
        assert time.monotonic() - started < SECONDS + MARGIN
    file.unlink()
    file.write_bytes(data)
    for _ in range(10):
        release(pipe)
    patiently(lambda: append(lake, [document("b")]))
    check(lake, {i: stored(i) for i in "ab"})


def test_calls_to_a_dead_server_do_not_pile_up(folder: Path, pipe: Path) -> None:
    files = Silent(folder, pipe)
    os.link(pipe, folder / "file")
    with pytest.raises(StorageError):
        files.read("file")
    before = threading.active_count()
    for _ in range(5):
        with pytest.raises(StorageError, match="timeout_seconds"):
            files.read("file")
    assert threading.active_count() <= before


def test_what_takes_long_is_waited_for(folder: Path) -> None:
    """The server answers, so the work, a big compaction perhaps, goes on."""
    files = MountedFiles(folder, SECONDS)
    assert files.using(lambda: time.sleep(3 * SECONDS) or "done") == "done"  # type: ignore[func-returns-value]


def test_a_server_that_refuses_is_not_one_that_answers(folder: Path) -> None:
    class Refusing(MountedFiles):
        def ask(self) -> None:
            raise OSError(5, "Input/output error")

    ended = threading.Event()
    with pytest.raises(StorageError, match=r"does not answer: .*Input/output error"):
        Refusing(folder, SECONDS).using(lambda: ended.wait(20))
    ended.set()


def test_an_error_of_the_work_is_the_caller_s(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        MountedFiles(folder, SECONDS).using(lambda: 1 // 0)


@pytest.mark.parametrize(
    ("backend", "keys"),
    [
        ("local_file", {}),
        ("fsspec", {"url": "memory://x"}),
        ("nfs", {"mount_path": "/"}),
        ("hdfs", {"namenode_url": "hdfs://here"}),
        ("aws_s3", {"bucket": "abc"}),
        ("azure_blob", {"container_name": "abc", "account_name": "abc"}),
        ("gcs", {"bucket_name": "abc"}),
        ("sqlite", {}),
        ("postgresql", {"username": "u"}),
        ("mysql", {"username": "u", "database": "d"}),
        ("mongodb", {"connection_string": "mongodb://here"}),
        ("database_factory", {"databases": {"sqlite": {}}}),
    ],
)
def test_every_backend_takes_a_deadline(backend: str, keys: dict[str, Any]) -> None:
    def settings(seconds: Any) -> Any:
        return active(configured({"storage_config": {backend: keys | {"timeout_seconds": seconds}}})).settings

    assert settings(7).timeout_seconds == settings("7").timeout_seconds == 7
    for wrong in (0, -1, "soon"):
        with pytest.raises((ConfigError, StorageError), match="timeout_seconds"):
            settings(wrong).open()


def test_the_deadline_of_a_database_factory_is_its_databases() -> None:
    databases: dict[str, Any] = {"sqlite": {}, "postgresql": {"username": "u", "timeout_seconds": 3}}
    keys = {
        "databases": databases,
        "factory_config": {"fallback_databases": ["postgresql"]},
        "timeout_seconds": 7,
    }
    factory: Any = active(configured({"storage_config": {"database_factory": keys}})).settings
    assert {name: member.timeout_seconds for name, member in factory.members().items()} == {
        "sqlite": 7,
        "postgresql": 3,
    }


@pytest.fixture
def bad(sftp_server: Storage) -> Iterator[Proxy]:
    with proxy(sftp_server.options["port"]) as control:
        yield control


@pytest.mark.parametrize("how", ["black_hole", "reset"])
def test_a_synchronous_driver_whose_server_goes(sftp_server: Storage, bad: Proxy, how: str) -> None:
    """paramiko waits for ever for an answer, and never opens a broken connection again."""
    options = sftp_server.options | {"port": bad.port}
    keys = {"url": f"{sftp_server.url}/{uuid4()}", "storage_options": options, "timeout_seconds": 2}
    lake = open_lake("fsspec", keys)
    append(lake, [document("a"), document("z", issues=200)])
    setattr(bad, how, True)
    for call in (*calls(lake), lambda: read(lake), lambda: open_lake("fsspec", keys)):
        with refused() as told:
            call()
        assert told.seconds < 2 + MARGIN
        if how == "black_hole":
            assert "timeout_seconds" in told.text
    setattr(bad, how, False)
    append(lake, [document("b")])
    assert set(read(lake)) == {"a", "b", "z"}


def test_work_that_has_begun_is_not_cancelled_under_its_thread() -> None:
    """Whoever gives a call up may cancel it, and its thread must be able to end all the same."""
    may_end = threading.Event()
    call = begin(may_end.wait)
    assert not call.cancel()
    may_end.set()
    assert call.result(10) is True
