"""A lake on a real NFS server: `make test-nfs` boots a guest that has one, and runs this in it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import duckdb
import pytest

from resources.backend import ISSUES, RUNS
from resources.errors import StorageError, Vanished
from resources.lake import Lake
from tests.lake.buckets import calls, open_lake, patiently, refused
from tests.lake.contract import LakeContract
from tests.lake.state import DAYS, State, append, check, document, read, stored
from tests.servers import Storage

MOUNTS = [Path(path) for path in os.environ.get("ISSUELAKE_NFS", "").split(":") if path]
"""Where the same export is mounted twice, each with caches of its own, the second hardly any."""
SECONDS = 8.0
MARGIN = 4.0
CACHED = 65.0
"""After so many seconds a client has looked at everything anew."""

if not MOUNTS:
    pytest.skip(
        "needs a kernel with an NFS server: make test-nfs boots one, CI does not", allow_module_level=True
    )


def open_at(mount: Path, path: str, seconds: float = 60) -> Lake:
    return open_lake("nfs", {"mount_path": str(mount), "storage_path": path, "timeout_seconds": seconds})


@contextmanager
def no_server() -> Iterator[None]:
    """The server is gone for the length of the block."""
    serve(0)
    try:
        yield
    finally:
        serve(4)


def serve(threads: int) -> None:
    subprocess.run(["rpc.nfsd", *(["-N", "3", "-V", "4"] if threads else []), str(threads)], check=True)


@pytest.fixture
def hard(tmp_path: Path) -> Iterator[Path]:
    """A mount that waits for its server for ever, which is how most are mounted."""
    path = tmp_path / "hard"
    path.mkdir()
    options = "vers=4.2,hard,timeo=10,nosharecache"
    subprocess.run(["mount", "-t", "nfs4", "-o", options, "127.0.0.1:/", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


class TestNfsLake(LakeContract):
    @pytest.fixture
    def place(self) -> Storage:
        return Storage("nfs", {"mount_path": str(MOUNTS[0]), "storage_path": f"{uuid4()}/a lake"})

    def another(self, place: Storage) -> Lake:
        return open_lake(place.url, place.options)


def test_what_is_not_mounted_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "not there"):
        with pytest.raises(StorageError, match=r"Nothing is mounted at .*mount it"):
            open_at(path, "lake")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("how", ["soft", "hard"])
def test_a_server_that_goes_and_comes_back(how: str, request: pytest.FixtureRequest) -> None:
    mount = MOUNTS[0] if how == "soft" else request.getfixturevalue("hard")
    path = str(uuid4())
    lake = open_at(mount, path, SECONDS)
    append(lake, [document("a")])
    check(lake, {"a": stored("a")})
    threads = threading.active_count()
    with no_server():
        for call in (*calls(lake), lambda: read(lake), lambda: open_at(mount, path, SECONDS).days()):
            with refused() as told:
                call()
            print(how, f"{told.seconds:.1f} s", told.text)
            assert told.seconds < SECONDS + MARGIN
            assert str(mount) in told.text
        assert not lake.check().healthy
        assert threading.active_count() < threads + 10, "calls that were given up pile up"
    patiently(lambda: append(lake, [document("b")]), 60)
    patiently(lambda: check(lake, {i: stored(i) for i in "ab"}))
    for other in MOUNTS:
        check(open_at(other, path), {i: stored(i) for i in "ab"})
    until(lambda: threading.active_count() <= threads)


def test_a_process_whose_server_goes_while_it_reads(hard: Path) -> None:
    """It is told in time, and ends although a thread of DuckDB never comes back."""
    path = str(uuid4())
    append(open_at(hard, path), [document(f"r{n}", issues=50) for n in range(50)])
    program = f"from tests.lake import test_nfs; test_nfs.read_without_a_server({str(hard)!r}, {path!r})"
    try:
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120, check=False)
        seconds = time.monotonic() - started
    finally:
        serve(4)
    assert done.returncode == 0, done.stderr
    assert b"has not answered for" in done.stdout
    assert seconds < SECONDS + MARGIN + 10
    patiently(lambda: read(open_at(hard, path)), 60)


def read_without_a_server(mount: str, path: str) -> None:
    def then_no_server(connection: duckdb.DuckDBPyConnection) -> None:
        evict()
        serve(0)
        connection.execute("SELECT count(DISTINCT description) FROM issues").fetchall()

    with refused() as told:
        open_at(Path(mount), path, SECONDS).reading(then_no_server)
    print(told.text)


def test_a_command_ends_while_the_server_is_away(hard: Path, tmp_path: Path) -> None:
    path = str(uuid4())
    append(open_at(hard, path), [document("a")])
    config = tmp_path / "config.yaml"
    config.write_text(
        f"storage_backend: nfs\nstorage_config:\n"
        f"  nfs: {{mount_path: {hard}, storage_path: {path}, timeout_seconds: {SECONDS}}}\n"
    )
    program = "from pipelines.cli import main; main()"
    command = [sys.executable, "-c", program, "latest", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    with no_server():
        started = time.monotonic()
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
        seconds = time.monotonic() - started
    assert done.returncode != 0
    assert b"answer" in done.stderr
    assert b"Traceback" not in done.stderr
    assert seconds < SECONDS + MARGIN + 10


def test_what_another_client_does_is_seen_by_the_next_read() -> None:
    """Though this one has just seen that neither file nor folder is there."""
    path = str(uuid4())
    one, two = (open_at(mount, path) for mount in MOUNTS)
    os.makedirs(MOUNTS[1] / path)
    check(one, {})
    assert one.stored([DAYS[0]], ISSUES) == one.stored([DAYS[0]], RUNS) == {DAYS[0]: (0, 0)}
    append(two, [document("a"), document("b")])
    check(one, {i: stored(i) for i in "ab"})
    assert one.stored([DAYS[0]], ISSUES)[DAYS[0]][0] == 1
    two.delete(["a"])
    check(one, {"b": stored("b")})
    append(two, [document("b", DAYS[1], version=1)])
    check(one, {"b": stored("b", DAYS[1], version=1)})
    append(one, [document("a", version=2)])
    two.maintain(timedelta(0))
    wanted = {"a": stored("a", version=2), "b": stored("b", DAYS[1], version=1)}
    check(one, wanted)
    assert one.stored([DAYS[3]], ISSUES) == one.stored([DAYS[3]], RUNS) == {DAYS[3]: (0, 0)}
    append(two, [document("c", DAYS[3])])
    check(one, wanted | {"c": stored("c", DAYS[3])})


def test_what_another_client_has_removed_is_stored_again() -> None:
    path = str(uuid4())
    one, two = (open_at(mount, path).files for mount in MOUNTS)
    one.publish("folder/file", b"content")
    assert one.read("folder/file") == two.read("folder/file") == b"content"
    for _ in range(5):
        two.remove("folder/file")
        one.publish("folder/file", b"content")
        assert two.read("folder/file") == b"content"
    two.remove("folder/file")
    with pytest.raises(Vanished):
        two.read("folder/file")


def test_what_another_client_compacts_away_is_read_where_it_went() -> None:
    path = str(uuid4())
    one, two = (open_at(mount, path) for mount in MOUNTS)
    for n in range(3):
        append(one, [document(f"r{n}", issues=50)])
    times = []

    def count(connection: duckdb.DuckDBPyConnection) -> object:
        times.append(1)
        if len(times) == 1:
            two.maintain(timedelta(0))
            evict()
        return connection.execute("SELECT count(*), count(DISTINCT description) FROM issues").fetchall()

    assert one.reading(count) == [(150, 150)]
    assert len(times) > 1
    assert append(one, [document("r0", issues=50)]).duplicates == 1


def test_two_clients_write_and_read() -> None:
    """No read is torn and every run counts once, at any time; at last all see the same."""
    path = str(uuid4())
    lakes = [open_at(MOUNTS[0], path), open_at(MOUNTS[1], path), open_at(MOUNTS[0], path)]
    done = threading.Event()
    failures: list[BaseException] = []
    reads = [0, 0]

    def working(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)
                done.set()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def writer(number: int) -> None:
        for n in range(15):
            own = [document(f"w{number}-{n}", DAYS[n % 3], n), document(f"w{number}", DAYS[n % 4], n)]
            append(lakes[number], [*own, document(f"shared-{n}", DAYS[n % 2])])

    def reader(number: int) -> None:
        before: dict[str, int] = {}
        while not done.is_set():
            seen = {run_id: run.version for run_id, run in read(lakes[number]).items()}
            assert all(seen.get(run_id, -1) >= version for run_id, version in before.items())
            before = seen
            reads[number] += 1
            for day in DAYS[:4]:
                read(lakes[number], day, day)

    def compactor() -> None:
        while not done.is_set():
            lakes[2].maintain(timedelta(seconds=2))
            time.sleep(0.5)

    others = [working(lambda n=n: reader(n)) for n in (0, 1)] + [working(compactor)]  # type: ignore[misc]
    for thread in [working(lambda n=n: writer(n)) for n in (0, 1)]:  # type: ignore[misc]
        thread.join()
    done.set()
    for thread in others:
        thread.join()
    assert not failures, failures
    assert min(reads) > 2
    wanted: State = {f"shared-{n}": stored(f"shared-{n}", DAYS[n % 2]) for n in range(15)}
    for number in (0, 1):
        wanted |= {f"w{number}-{n}": stored(f"w{number}-{n}", DAYS[n % 3], n) for n in range(15)}
        wanted[f"w{number}"] = stored(f"w{number}", DAYS[14 % 4], 14)
    for mount in MOUNTS:
        check(open_at(mount, path), wanted)


def evict() -> None:
    """The system forgets what it keeps of files."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + CACHED
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
