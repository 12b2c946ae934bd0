"""A lake in HDFS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from resources.errors import ConfigError
from resources.files import open_filesystem
from resources.lake import Lake
from tests.hadoop import SUPERUSER, Cluster
from tests.lake.buckets import calls, open_lake, refused
from tests.lake.contract import LakeContract
from tests.lake.state import DAYS, append, check, document, read, stored
from tests.servers import Storage

SECONDS = 40.0
"""A failover has to be over by then."""


class TestHdfsLake(LakeContract):
    @pytest.fixture
    def place(self, hdfs_server: Cluster) -> Storage:
        return Storage(f"pyhdfs://{hdfs_server.hosts}/{uuid4()}/lake", {"user": SUPERUSER})


def open_at(cluster: Cluster, path: str, **keys: Any) -> Lake:
    url = ",".join(f"http://{host}" for host in cluster.hosts.split(","))
    return open_lake("hdfs", {"namenode_url": url, "hdfs_path": path, "user": SUPERUSER} | keys)


def statuses(cluster: Cluster, path: str) -> list[dict[str, Any]]:
    """What the server says of every file below `path`."""
    fs, _ = open_filesystem(f"pyhdfs://{cluster.hosts}/", {"user": SUPERUSER})
    return [fs.info(found) for found in fs.find(path)]


# --- what is configured arrives --------------------------------------------------------------------


def test_keys_arrive(hdfs_server: Cluster) -> None:
    path = f"/{uuid4()}/a lake"
    lake = open_at(hdfs_server, path, replication_factor=3, block_size="2m")
    append(lake, [document("a")])
    append(lake, [document("b")])
    lake.maintain()
    found = statuses(hdfs_server, path)
    assert len(found) > 4
    assert {(status["replication"], status["block_size"], status["owner"]) for status in found} == {
        (3, 2 * 2**20, SUPERUSER)
    }
    assert all(status["name"].startswith(f"{path}/") for status in found)


def test_what_is_not_given_is_the_server_s_own(hdfs_server: Cluster) -> None:
    path = f"/{uuid4()}"
    append(open_at(hdfs_server, path), [document("a")])
    assert {(s["replication"], s["block_size"]) for s in statuses(hdfs_server, path)} == {(1, 128 * 2**20)}


def test_a_user_owns_what_it_stores_and_another_is_refused(hdfs_server: Cluster) -> None:
    fs, _ = open_filesystem(f"pyhdfs://{hdfs_server.hosts}/", {"user": SUPERUSER})
    home = f"/{uuid4()}"
    fs.mkdir(home)
    fs.client.set_owner(home, owner="alice")
    fs.client.set_permission(home, permission="750")
    alice, bob = (open_at(hdfs_server, f"{home}/lake", user=user) for user in ("alice", "bob"))
    append(alice, [document("a")])
    assert {status["owner"] for status in statuses(hdfs_server, home)} == {"alice"}
    for call in calls(bob):
        with refused() as told:
            call()
        assert "ermission denied: user=bob" in told.text
        assert "see `user` and the permissions" in told.text
    assert not bob.check().healthy
    fs.client.set_permission(home, permission="755")
    check(bob, {"a": stored("a")})
    with refused() as told:
        append(bob, [document("b")])
    assert "user=bob" in told.text
    check(alice, {"a": stored("a")})


def test_compression_is_that_of_the_files_themselves(hdfs_server: Cluster) -> None:
    path = f"/{uuid4()}"
    lake = open_at(hdfs_server, path, compression="zstd")
    append(lake, [document("a")])
    import pyarrow.parquet as pq

    [name] = lake.files.paths([lake.files.find("issues")[0].path])
    assert pq.ParquetFile(name).metadata.row_group(0).column(0).compression == "ZSTD"
    with pytest.raises(ConfigError, match=r"hdfs\.compression: 'gzip' is not zstd"):
        open_at(hdfs_server, path, compression="gzip")


# --- a NameNode goes -------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_standby_takes_over_in_the_middle_of_storing_and_reading(hdfs_pair: Cluster) -> None:
    lake = open_at(hdfs_pair, "/issues/lake", timeout_seconds=SECONDS)
    append(lake, [document("first")])
    acknowledged = {"first": stored("first")}
    counts = {"written": 0, "read": 0}
    done = threading.Event()
    failures: list[BaseException] = []

    def repeating(work: Callable[[], None], count: str) -> threading.Thread:
        def run() -> None:
            try:
                while not done.is_set():
                    work()
                    counts[count] += 1
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def write() -> None:
        n = counts["written"]
        append(lake, [document(f"r{n}", DAYS[n % 3], n % 100), document("again", DAYS[n % 2], n % 100)])
        acknowledged[f"r{n}"] = stored(f"r{n}", DAYS[n % 3], n % 100)
        acknowledged["again"] = stored("again", DAYS[n % 2], n % 100)

    def look() -> None:
        before = dict(acknowledged)
        assert before.keys() <= read(lake).keys()

    threads = [repeating(write, "written"), repeating(look, "read")]

    def more(than: dict[str, int]) -> None:
        patience = time.monotonic() + SECONDS
        while not failures and any(counts[c] < than[c] + 3 for c in counts):
            assert time.monotonic() < patience, counts
            time.sleep(0.05)

    try:
        more(dict(counts))
        hdfs_pair.kill("nn0")
        before = dict(counts)
        time.sleep(3)  # in which nobody is active
        hdfs_pair.activate(1, force=True)
        more(before)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
    for opened in (lake, open_at(hdfs_pair, "/issues/lake")):
        check(opened, acknowledged)
    again = append(lake, [document(i, run.day, run.version) for i, run in acknowledged.items()])
    assert (again.runs_stored, again.duplicates) == (0, len(acknowledged))

    hdfs_pair.kill("nn1")
    lake = open_at(hdfs_pair, "/issues/lake", timeout_seconds=5)
    for call in (*calls(lake), lambda: read(lake)):
        with refused() as told:
            call()
        assert told.seconds < 5 + 2
        assert "no NameNode serves" in told.text
        for host in hdfs_pair.hosts.split(","):
            assert f"{host} cannot be reached" in told.text
