"""MongoDB: the contract on a replica set and on a server alone, and what only this storage has."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

import pymongo
import pytest
from bson import ObjectId
from pymongo import MongoClient, monitoring
from pymongo.errors import AutoReconnect

from pipelines.operations.dispatch import run
from resources.backend import ISSUES, Backend, Pushdown
from resources.backends.mongodb import MongoDb, deletions
from resources.errors import ConfigError, StorageError
from tests.backends.contract import BackendContract, rows
from tests.lake.state import DAYS, NOW, append, check, document, read, stored
from tests.servers import Mongo, mongo
from tests.test_cli import Cli

CONFIGS = Path(__file__).parents[2] / "examples" / "configs"


class MongoContract(BackendContract):
    def another(self, place: Any) -> Backend:
        return place.open()


def settings(server: Mongo, **keys: Any) -> MongoDb:
    """A database of its own on `server`."""
    keys = {"connection_string": server.url, "database": f"t{uuid4().hex}", "timeout_seconds": 10} | keys
    return MongoDb(**keys)


class TestReplicaSet(MongoContract):
    @pytest.fixture
    def place(self, mongo_server: Mongo) -> MongoDb:
        return settings(mongo_server)


class TestAlone(MongoContract):
    @pytest.fixture
    def place(self, mongo_alone: Mongo) -> MongoDb:
        return settings(mongo_alone)


# --- what arrives at the server ----------------------------------------------------------------------


class Commands(monitoring.CommandListener):
    """What the driver sent, command by command."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.sent.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass

    def of(self, kind: str, collection: str = "validation_issues") -> list[dict[str, Any]]:
        return [command for command in self.sent if command.get(kind) == collection]


@pytest.fixture
def listened(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """The commands of every client that is opened in the test."""
    commands = Commands()
    client = partial(MongoClient, event_listeners=[commands])
    monkeypatch.setattr(pymongo, "MongoClient", client)
    return commands


@pytest.mark.parametrize(
    ("keys", "concern", "preference"),
    [
        ({}, {"w": "majority", "j": True, "wtimeout": 10_000}, None),
        (
            {"write_concern": "majority", "read_preference": "secondaryPreferred"},
            {"w": "majority"},
            "secondaryPreferred",
        ),
        (
            {"write_concern": 1, "read_preference": "primary_preferred"},
            {"w": 1, "j": True},
            "primaryPreferred",
        ),
        ({"write_concern": "1"}, {"w": 1}, None),
        ({"write_concern": {"w": 1, "j": False, "wtimeout": 50}}, {"w": 1, "j": False, "wtimeout": 50}, None),
    ],
)
def test_write_concern_and_read_preference_arrive(
    mongo_server: Mongo,
    listened: Commands,
    keys: dict[str, Any],
    concern: dict[str, Any],
    preference: str | None,
) -> None:
    # Without directConnection, with which the driver asks for primaryPreferred by itself.
    url = f"mongodb://127.0.0.1:{mongo_server.port}/?replicaSet=rs0"
    backend = settings(mongo_server, connection_string=url, **keys).open()
    append(backend, [document("a")])
    append(backend, [document("a", version=1)])
    for command in listened.of("insert") + listened.of("update"):
        assert concern.items() <= command["writeConcern"].items()
    assert listened.of("insert")
    assert listened.of("update")
    assert all(
        "$readPreference" not in c or c["$readPreference"] == {"mode": "primary"} for c in listened.of("find")
    )
    listened.sent.clear()
    check(backend, {"a": stored("a", version=1)})
    for command in listened.of("find"):
        assert command.get("$readPreference", {}).get("mode") == preference
        level = "snapshot" if concern["w"] == "majority" else None
        assert command.get("readConcern", {}).get("level") == level


def test_days_conditions_and_columns_are_pushed_down(mongo_server: Mongo) -> None:
    """The server's profiler says what it looked at, and what it sent."""
    place = settings(mongo_server)
    backend = place.open()
    append(backend, [document(f"r{n:03}", DAYS[n % 6], issues=4) for n in range(300)])
    with MongoClient[dict[str, Any]](mongo_server.url) as client:
        database = client[place.database]
        database.command("profile", 2)
        count = "SELECT count(*) FROM issues WHERE severity = 'high'"
        work = partial(rows, query=count)
        pushdown = Pushdown(plugin="plugin-1", severities=("high",))
        assert backend.reading(work, DAYS[1], DAYS[1], (ISSUES,), pushdown) == [{"count_star()": 50}]
        assert backend.reading(work, DAYS[1], DAYS[1], (ISSUES,), Pushdown(run_id="r001")) == [
            {"count_star()": 1}
        ]
        assert backend.reading(partial(rows, query="FROM runs"), DAYS[2], DAYS[2], ("runs",))
        database.command("profile", 0)
        finds = {"op": "query", "ns": f"{place.database}.{place.collection}"}
        by_plugin, by_id, by_day = database["system.profile"].find(finds).sort("ts", 1)
    assert "IXSCAN" in by_plugin["planSummary"]
    assert by_plugin["docsExamined"] == by_plugin["nreturned"] == 50
    assert by_plugin["responseLength"] < 50 * 500  # one issue each, and no metadata
    fields = by_plugin["command"]["projection"]
    assert not {"metadata", "extra", "source", "content_hash"} & set(fields)
    assert "$filter" in fields["issues"]
    assert (by_id["docsExamined"], by_id["nreturned"]) == (1, 1)
    assert by_day["docsExamined"] == 50
    assert "issues" not in by_day["command"]["projection"]


def test_indexes_and_version(mongo_server: Mongo) -> None:
    place = settings(mongo_server, collection="runs.of-plugins")
    append(place.open(), [document("a")])
    with MongoClient[dict[str, Any]](mongo_server.url) as client:
        database = client[place.database]
        keys = [index["key"] for index in database["runs.of-plugins"].index_information().values()]
        assert keys == [
            [("_id", 1)],
            [("run_date", 1)],
            [("timestamp", 1)],
            [("target_plugin", 1), ("timestamp", 1)],
        ]
        meta = database["runs.of-plugins_meta"]
        assert meta.find_one({"_id": "schema"})["version"] == 1
        meta.update_one({"_id": "schema"}, {"$set": {"version": 2}})
    for work in (lambda b: read(b), lambda b: append(b, [document("b")])):
        with pytest.raises(StorageError, match="newer issuelake"):
            work(place.open())


# --- large runs --------------------------------------------------------------------------------------


def test_a_run_larger_than_a_document(mongo_server: Mongo) -> None:
    place = settings(mongo_server)
    backend = place.open()
    run = document("large", issues=100_000)
    run["metadata"] = {"$x.y": "é" * 9_000_000}
    run["issues_list"][7]["details"] = {"$where": "\0" * 3_000_000}
    append(backend, [run, document("small")])
    check(place.open(), {"large": stored("large", issues=100_000), "small": stored("small")})
    [[metadata]] = backend.reading(
        lambda c: c.execute("SELECT metadata FROM runs WHERE validation_run_id = 'large'").fetchall()
    )
    assert json.loads(metadata) == run["metadata"]
    [[details]] = backend.reading(
        lambda c: c.execute("SELECT details FROM issues WHERE details IS NOT NULL").fetchall()
    )
    assert json.loads(details) == {"$where": "\0" * 3_000_000}
    with MongoClient[dict[str, Any]](mongo_server.url) as client:
        parts = client[place.database]["validation_issues_parts"]
        before = {part["_id"] for part in parts.find({}, ["_id"])}
        assert before
        append(backend, [document("large", version=1, issues=100_000)])
        after = {part["_id"] for part in parts.find({}, ["_id"])}
        assert after
        assert not before & after
        old = ObjectId.from_datetime(datetime.now(UTC) - timedelta(days=8))
        parts.insert_many([{"_id": old, "issues": []}, {"issues": []}])
        backend.maintain(NOW)
        assert parts.find_one({"_id": old}) is None
        assert parts.count_documents({}) == len(after) + 1  # a young one may be about to be named
        backend.delete(["large"])
        assert parts.count_documents({}) == 1
    check(backend, {"small": stored("small")})


def test_a_file_larger_than_a_document(mongo_server: Mongo) -> None:
    files = settings(mongo_server).open().files
    data = bytes(range(256)) * 160_000
    files.publish("rejected/x/large", data)
    files.publish("rejected/x/small", b"")
    files.publish("rejected/x/small", b"ignored")
    assert [(e.path, e.size) for e in files.find("rejected")] == [
        ("rejected/x/large", len(data)),
        ("rejected/x/small", 0),
    ]
    assert files.folders("rejected") == ["x"]
    assert files.read("rejected/x/large") == data
    assert [Path(p).read_bytes() for p in files.paths(["rejected/x/large", "rejected/x/small"])] == [
        data,
        b"",
    ]
    files.remove("rejected/x/large")
    assert [e.path for e in files.list_many(["rejected/x"])] == ["rejected/x/small"]


# --- interrupted -------------------------------------------------------------------------------------


def test_the_server_is_killed_midway_and_comes_back(tmp_path: Path) -> None:
    with mongo(tmp_path, "--replSet", "rs0") as server:
        place = settings(server, timeout_seconds=5)
        acknowledged: dict[str, Any] = {}
        backend = place.open()
        append(backend, [document("first")])
        killer = threading.Timer(0.5, server.stop)
        killer.start()
        failed = None
        for n in range(10_000):
            ids = [f"r{n}-{m}" for m in range(50)]
            try:
                append(backend, [document(i) for i in ids])
            except StorageError as error:
                failed = ids, str(error)
                break
            acknowledged |= {i: stored(i) for i in ids}
        killer.join()
        assert failed is not None
        assert "no server answered" in failed[1]
        server.start()
        with MongoClient[dict[str, Any]](server.url) as client:
            while not client.admin.command("hello")["isWritablePrimary"]:
                time.sleep(0.05)
        found = read(backend)
        assert acknowledged.items() <= found.items()
        again = append(backend, [document(i) for i in failed[0]])
        assert again.runs_stored + again.duplicates == 50
        check(place.open(), acknowledged | {i: stored(i) for i in ("first", *failed[0])})


def test_an_interrupted_deletion_hides_and_is_finished(
    mongo_server: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = settings(mongo_server)
    backend = place.open()
    append(backend, [document(i) for i in "abc"])

    def broken(*_: Any) -> None:
        raise AutoReconnect("the line went dead")

    with monkeypatch.context() as patched:
        patched.setattr(deletions, "_remove", broken)
        with pytest.raises(StorageError, match="went dead"):
            backend.delete(["a", "b"])
    check(place.open(), {"c": stored("c")})
    assert append(backend, [document("a")]).runs_stored == 1
    check(place.open(), {i: stored(i) for i in "ac"})
    backend.maintain(NOW)
    check(backend, {i: stored(i) for i in "ac"})
    with MongoClient[dict[str, Any]](mongo_server.url) as client:
        database = client[place.database]
        assert {run["_id"] for run in database["validation_issues"].find()} == {"a", "c"}
        assert database["validation_issues_deletions"].count_documents({"pending": {"$exists": True}}) == 0
        # All that is left says which runs the deletion took.
        assert [f["_id"] for f in database["validation_issues_files"].find()] == [
            f"deleted/{deletion.audit_id}.parquet" for deletion in backend.deletions()
        ]


def test_a_frozen_server_ends_in_time(tmp_path: Path) -> None:
    with mongo(tmp_path) as server:
        backend = settings(server, timeout_seconds=0.5).open()
        append(backend, [document("a")])
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        try:
            started = time.monotonic()
            health = backend.check()
            assert not health.healthy
            assert time.monotonic() - started < 2
            with pytest.raises(StorageError, match="no server answered"):
                read(backend)
            assert time.monotonic() - started < 8
        finally:
            server.process.send_signal(signal.SIGCONT)
        check(backend, {"a": stored("a")})


# --- refused -----------------------------------------------------------------------------------------

PASSWORD = "s3cr3t/p@ss:w?rd"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongo]:
    """A server that asks for a password; `reader` may only read the database `kept`."""
    folder = tmp_path_factory.mktemp("mongo-guarded")
    with mongo(folder) as server:
        with MongoClient[dict[str, Any]](server.url) as client:
            for name, roles in (
                ("writer", ["readWriteAnyDatabase"]),
                ("reader", [{"role": "read", "db": "kept"}]),
            ):
                client.admin.command(
                    "createUser", name, pwd=PASSWORD, roles=roles, writeConcern={"w": 1, "j": True}
                )
        server.stop()
        server.arguments = ("--auth",)
        server.start()
        yield server


def as_user(server: Mongo, name: str, password: str = PASSWORD, database: str = "kept") -> MongoDb:
    account = f"{name}:{quote_plus(password)}"
    return settings(
        server,
        connection_string=f"mongodb://{account}@127.0.0.1:{server.port}/?directConnection=true",
        database=database,
        timeout_seconds=3,
    )


def without_secrets(text: str) -> None:
    for secret in (PASSWORD, quote_plus(PASSWORD), "writer:", "p@ss", "wrong-one"):
        assert secret not in text


def test_users(guarded: Mongo) -> None:
    writer, reader = as_user(guarded, "writer"), as_user(guarded, "reader")
    append(writer.open(), [document("a")])
    check(reader.open(), {"a": stored("a")})
    refused = [
        (as_user(guarded, "writer", "wrong-one"), "user name or password was refused"),
        (reader, "may not do that"),
        (as_user(guarded, "reader", database="other"), "may not do that"),
    ]
    for place, why in refused:
        with pytest.raises(StorageError, match=why) as caught:
            append(place.open(), [document("b")])
        health = place.open().check()
        assert not health.healthy
        told = "".join(traceback.format_exception(caught.value))
        for text in (str(caught.value), told, str(health.error), repr(place), place.place()):
            without_secrets(text)
    assert writer.place() == f"mongodb://127.0.0.1:{guarded.port}/kept/validation_issues"


@pytest.mark.parametrize(
    "connection_string",
    [
        f"mongodb://writer:{PASSWORD}@127.0.0.1:1/",  # not written as it should be
        f"mongodb://writer:{quote_plus(PASSWORD)}@127.0.0.1:port/",
        f"mongodb://writer:{quote_plus(PASSWORD)}@127.0.0.1:1/?unheardOf",
        f"mongodb://writer:{quote_plus(PASSWORD)}@127.0.0.1:1/",  # nobody is there
        f"writer:{PASSWORD}@127.0.0.1",
        "mongodb://",
        "",
    ],
)
def test_connection_strings_are_not_told(connection_string: str) -> None:
    place = MongoDb(connection_string=connection_string, timeout_seconds=0.2)
    with pytest.raises((ConfigError, StorageError)) as caught:
        read(place.open())
    for text in ("".join(traceback.format_exception(caught.value)), repr(place), place.place()):
        without_secrets(text)


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"write_concern": 0}, "write_concern 0"),
        ({"write_concern": {"x": 1}}, "write_concern has no 'x'"),
        ({"read_preference": "tertiary"}, "not one of primary"),
        ({"database": "a b"}, "database"),
        ({"collection": "$x"}, "collection"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
    ],
)
def test_keys_that_make_no_sense(keys: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(what)):
        MongoDb(connection_string="mongodb://127.0.0.1:1/", **keys).open()


def test_a_write_concern_that_cannot_be_had(mongo_server: Mongo) -> None:
    backend = settings(mongo_server, write_concern=3, timeout_seconds=1).open()
    with pytest.raises(StorageError, match="Could not store"):
        append(backend, [document("a")])


# --- through the front door --------------------------------------------------------------------------


def test_the_command_line(mongo_server: Mongo, tmp_path: Path) -> None:
    config = tmp_path / "issuelake.yaml"
    config.write_text((CONFIGS / "mongodb.yaml").read_text("utf-8").replace("plugpipe", f"t{uuid4().hex}"))
    (tmp_path / "run.json").write_text(json.dumps(document("r", issues=5)))
    cli = Cli(tmp_path)
    environment = {"ISSUELAKE_CONFIG": str(config), "MONGODB_URL": mongo_server.url}
    assert cli.json("ingest", "run.json", **environment)["runs_stored"] == 1
    assert cli.json("ingest", "run.json", **environment)["duplicates"] == 1
    assert cli.json("latest", **environment)["issues_data"]["validation_run_id"] == "r"
    assert cli.json("issues", "--severity", "high", **environment)["issues_data"]["filtered_count"] == 1
    assert cli.json("sql", "SELECT count(*) AS n FROM issues", **environment)
    assert cli.json("health", **environment)["health_status"]["storage_healthy"]


def test_operations(mongo_server: Mongo) -> None:
    place = settings(mongo_server)
    keys = {"connection_string": place.connection_string, "database": place.database}
    config = {"storage_backend": "mongodb", "storage_config": {"mongodb": keys}}
    answer = run({"issues": document("r", issues=4), **config})
    assert answer["operation_result"]["storage_backend_used"] == "mongodb"
    assert (
        run({"operation": "get_issues", "query": {"severity": ["high"]}, **config})["issues_data"][
            "filtered_count"
        ]
        == 1
    )
    assert run({"operation": "get_issue_history", **config})["issues_data"]["history"][0]["new"] == 4
    assert (
        run({"operation": "delete_issues", "query": {"all": True}, **config})["issues_data"]["runs_deleted"]
        == 1
    )
    assert run({"operation": "get_latest_issues", **config})["issues_data"] is None
