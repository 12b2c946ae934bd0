"""PostgreSQL, then S3, then a folder, all real: each way in which the first two fail is passed over in
time, and what was acknowledged is there once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pipelines.operations.dispatch import run
from resources.backends.sql.settings import Postgresql
from resources.config import Opened, configured
from resources.errors import StorageError
from resources.selection.reconcile import reconcile
from tests.lake.state import append, document, read, stored
from tests.proxy import Proxy, proxy
from tests.restartable import Restartable, restartable, send
from tests.servers import SECRETS, Server, open_to_all

pytestmark = pytest.mark.alone

TIMEOUT = 4.0
INTERVAL = 0.3
SLACK = 3.0
"""Seconds that a call may take beyond its deadline."""

_number = count()


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Restartable]:
    with open_to_all() as folder, restartable(folder) as server:
        yield server


@dataclass
class Servers:
    """A configuration of its own over the servers, and the bad network before them."""

    configuration: dict[str, Any]
    postgresql: Restartable
    before_postgresql: Proxy
    before_s3: Proxy
    database: str

    def call(self, **asked: Any) -> tuple[dict[str, Any], list[tuple[str, str]], float]:
        """An answer that went well, which backends were tried and how that went, and the seconds."""
        started = time.monotonic()
        answer = run(self.configuration | asked)
        seconds = time.monotonic() - started
        assert answer["success"], answer
        attempts = answer["operation_result"]["selection"]
        assert all(a["reason"] for a in attempts if a["outcome"] != "used"), attempts
        return answer, [(a["backend"], a["outcome"]) for a in attempts], seconds

    def store(self, *run_ids: str, tried: str = "", within: float = TIMEOUT + SLACK) -> dict[str, Any]:
        """Store runs; `tried` are the backends that failed, with the one that was used at the end."""
        answer, attempts, seconds = self.call(
            operation="store_issues", issues=[document(run_id) for run_id in run_ids]
        )
        assert seconds <= within
        if tried:
            *failed, used = tried.split()
            wanted = [(name, "failed") for name in failed] + [(used, "used")]
            assert [a for a in attempts if a[1] != "skipped"] == wanted, attempts
        return answer

    def runs(self) -> list[str]:
        """The runs of all that readers see, one for each of its issues."""
        answer, _, seconds = self.call(operation="get_issues", query={"limit": 1000})
        assert seconds <= TIMEOUT + SLACK
        return sorted(issue["validation_run_id"] for issue in answer["issues_data"]["issues"])

    def sql(self, statement: str) -> None:
        with self.postgresql.connect(self.database) as connection:
            connection.execute(statement)

    def settled(self, *run_ids: str) -> None:
        """Wait until all are let back in, pay what is owed, and find the runs in PostgreSQL, once."""
        time.sleep(INTERVAL)
        chain = Opened(configured(self.configuration)).chain
        assert chain is not None
        for _ in range(5):  # a server that has just been started may be too slow at first
            done = reconcile(chain)
            if not done.left:
                break
        assert (done.left, done.problems) == (0, [])
        settings = configured(self.configuration)[0].settings
        assert read(settings.open()) == {run_id: stored(run_id) for run_id in run_ids}
        assert self.runs() == sorted([*run_ids, *run_ids])  # two issues each


@pytest.fixture
def servers(tmp_path: Path, postgresql: Restartable, seaweedfs: Server) -> Iterator[Servers]:
    number = next(_number)
    database = f"of_test_{number}"
    with postgresql.connect() as connection:
        connection.execute(f"CREATE DATABASE {database}")
        connection.execute(f"CREATE ROLE writer_{number} LOGIN PASSWORD 'of-the-writer-4713'")
        connection.execute(f"ALTER DATABASE {database} OWNER TO writer_{number}")
    with ExitStack() as stack:
        before_postgresql = stack.enter_context(proxy(postgresql.port))
        before_s3 = stack.enter_context(proxy(seaweedfs.port))
        limits = {"timeout_seconds": TIMEOUT, "health_check_interval": INTERVAL}
        backends: dict[str, Any] = {
            "postgresql": {
                "host": "127.0.0.1",
                "port": before_postgresql.port,
                "database": database,
                "username": f"writer_{number}",
                "password": "of-the-writer-4713",
                "table_name": "t",
                "ssl_mode": "disable",
                **limits,
            },
            "aws_s3": {
                "bucket": "issuelake",
                "prefix": f"failover-{number}",
                "endpoint_url": before_s3.url,
                "access_key_id": "owner",
                "secret_access_key": SECRETS["owner"],
                **limits,
            },
            "local_file": {"storage_path": str(tmp_path / "lake")},
        }
        made = Servers({"storage_config": backends}, postgresql, before_postgresql, before_s3, database)
        until = time.monotonic() + 20
        # What is imported and made at first is no part of what is measured.
        made.store("a", tried="postgresql", within=20)
        made.runs()
        chain = Opened(configured(made.configuration)).chain
        assert chain is not None
        for member in chain.members:
            while not member.check().healthy:
                assert time.monotonic() < until, member.name
        yield made


def silent(network: Proxy) -> None:
    network.black_hole = True


def resets(network: Proxy) -> None:
    network.reset = True


def slow(network: Proxy) -> None:
    network.latency = TIMEOUT * 1.5


def cut(network: Proxy) -> None:
    network.cut_after = 3


def mend(network: Proxy) -> None:
    network.black_hole = network.reset = False
    network.latency, network.cut_after = 0.0, None


BAD = [silent, resets, slow, cut]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_network_to_the_first(servers: Servers, bad: Callable[[Proxy], None]) -> None:
    bad(servers.before_postgresql)
    servers.store("b", tried="postgresql aws_s3")
    servers.store("c", within=TIMEOUT + SLACK)
    assert servers.runs() == ["b", "b", "c", "c"]
    mend(servers.before_postgresql)
    time.sleep(INTERVAL)
    assert servers.runs() == ["a", "a", "b", "b", "c", "c"]
    servers.settled("a", "b", "c")


@pytest.mark.parametrize("bad", [silent, resets])
def test_a_bad_network_to_both(servers: Servers, bad: Callable[[Proxy], None]) -> None:
    bad(servers.before_postgresql)
    bad(servers.before_s3)
    servers.store("b", tried="postgresql aws_s3 local_file", within=2 * TIMEOUT + SLACK)
    mend(servers.before_s3)
    mend(servers.before_postgresql)
    time.sleep(INTERVAL)
    assert servers.runs() == ["a", "a", "b", "b"]
    servers.settled("a", "b")


REFUSALS = {
    "takes no writes": (
        "ALTER DATABASE {database} SET default_transaction_read_only = on",
        "ALTER DATABASE {database} RESET default_transaction_read_only",
    ),
    "expired credentials": (
        "ALTER ROLE {role} VALID UNTIL '2020-01-01'",
        "ALTER ROLE {role} VALID UNTIL 'infinity'",
    ),
    "no login": ("ALTER ROLE {role} NOLOGIN", "ALTER ROLE {role} LOGIN"),
    "health answers, writes fail": (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'disk full'; END $$; "
        "CREATE TRIGGER refuses BEFORE INSERT ON t_runs FOR EACH ROW EXECUTE FUNCTION refuse()",
        "DROP TRIGGER refuses ON t_runs",
    ),
    "a table is gone": (
        "ALTER TABLE t_issues RENAME TO away",
        "ALTER TABLE away RENAME TO t_issues",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_a_server_that_refuses(servers: Servers, what: str) -> None:
    role = servers.configuration["storage_config"]["postgresql"]["username"]
    begins, ends = (s.format(database=servers.database, role=role) for s in REFUSALS[what])
    servers.sql(begins)
    servers.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{servers.database}' AND pid <> pg_backend_pid()"
    )
    answer = servers.store("b", tried="postgresql aws_s3")
    assert "of-the-writer" not in str(answer)
    servers.sql(ends)
    servers.settled("a", "b")


def test_a_secret_that_is_no_longer_right(servers: Servers) -> None:
    keys = servers.configuration["storage_config"]["aws_s3"]
    servers.configuration["storage_config"]["aws_s3"] = keys | {"secret_access_key": "was-right-once-4714"}
    silent(servers.before_postgresql)
    answer = servers.store("b", tried="postgresql aws_s3 local_file")
    assert "was-right-once" not in str(answer)
    mend(servers.before_postgresql)
    servers.settled("a", "b")


def test_killed_while_it_is_written_to(servers: Servers) -> None:
    """Eight at once; whatever was acknowledged is there once."""
    acknowledged: list[str] = []
    stop = threading.Event()

    def write(who: int) -> None:
        for n in count():
            if stop.is_set():
                return
            servers.store(f"{who}-{n}", within=TIMEOUT + SLACK + 1)  # eight threads share a core
            acknowledged.append(f"{who}-{n}")

    threads = [threading.Thread(target=write, args=[who]) for who in range(8)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(1)
        servers.postgresql.kill()
        time.sleep(1)
        servers.postgresql.start()
        time.sleep(0.5)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(acknowledged) > 8
    servers.settled("a", *acknowledged)


def test_a_frozen_server_that_wakes_up(servers: Servers) -> None:
    frozen = servers.postgresql.processes()
    send(frozen, signal.SIGSTOP)
    try:
        servers.store("b", tried="postgresql aws_s3")
        assert servers.runs() == ["b", "b"]
    finally:
        send(frozen, signal.SIGCONT)
    servers.settled("a", "b")


def test_what_a_frozen_server_does_late_is_not_the_latest(servers: Servers) -> None:
    """A write that was given up is carried out when the server wakes up; a newer one has been elsewhere."""
    frozen = servers.postgresql.processes()
    send(frozen, signal.SIGSTOP)
    try:
        servers.store("b", tried="postgresql aws_s3")
        newer = document("b", version=1)
        servers.call(operation="store_issues", issues=newer)
    finally:
        send(frozen, signal.SIGCONT)
    time.sleep(INTERVAL)
    answer, *_ = servers.call(operation="get_latest_issues", query={"plugin_name": newer["target_plugin"]})
    assert answer["issues_data"]["pipeline_score"] == 1


def test_a_read_whose_answer_is_lost_is_given_up_although_others_are_answered(servers: Servers) -> None:
    servers.before_postgresql.lost = b"t_issues"  # what a read asks for, after its connection has answered
    assert servers.runs() == []  # within the deadline, and nobody else has any
    servers.before_postgresql.lost = b""
    servers.settled("a")


def test_a_connection_whose_answer_is_lost_is_replaced_within_the_call(servers: Servers) -> None:
    assert servers.runs() == ["a", "a"]
    silent(servers.before_postgresql)
    mended = threading.Timer(TIMEOUT / 8, mend, [servers.before_postgresql])
    mended.start()
    assert servers.runs() == ["a", "a"]  # within the deadline, and nobody else has any
    mended.join()


def test_a_backend_of_its_own_is_waited_for_only_so_long(servers: Servers) -> None:
    """Without any other to fail over to, too."""
    keys = servers.configuration["storage_config"]["postgresql"]
    backend = Postgresql.of(keys, "postgresql").open()
    assert set(read(backend)) == {"a"}
    silent(servers.before_postgresql)
    started = time.monotonic()
    with pytest.raises(StorageError, match="timeout"):
        append(backend, [document("b")])
    # A connection of the pool is given up first, then a new one is tried for 2 s at least.
    assert time.monotonic() - started <= TIMEOUT + 2 + SLACK
    mend(servers.before_postgresql)
    assert set(read(backend)) == {"a"}


def test_a_table_that_somebody_has_locked(servers: Servers) -> None:
    with servers.postgresql.connect(servers.database) as connection:
        connection.autocommit = False
        connection.execute("LOCK TABLE t_runs IN ACCESS EXCLUSIVE MODE")
        servers.store("b", tried="postgresql aws_s3")
        assert servers.runs() == ["b", "b"]
    servers.settled("a", "b")


def test_recovery_is_seen_without_being_asked_at_every_call(servers: Servers) -> None:
    interval = 3.0  # longer than a busy machine takes to store in S3
    servers.configuration["storage_config"]["postgresql"]["health_check_interval"] = interval
    silent(servers.before_postgresql)
    servers.store("b", tried="postgresql aws_s3")
    asked = servers.before_postgresql.connections
    servers.store("c", tried="aws_s3")
    assert servers.before_postgresql.connections == asked
    mend(servers.before_postgresql)
    time.sleep(interval)
    servers.store("d", tried="postgresql")
    servers.settled("a", "b", "c", "d")
