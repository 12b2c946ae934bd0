"""Storing and searching in every backend that has a server, each against its driver alone.

The servers are those of the tests, on this machine. What is timed is `Backend.append` of ready
Arrow tables: what is looked up, written, and made durable; not the reading of files.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from assets.kernel import Chunk
from benchmarks import generate, lakes, peers, postgresql
from benchmarks.measure import Row, Setup, interleaved, seconds, times_the_time
from resources.backend import ISSUES, RUNS
from resources.backends.azure import AzureBlob
from resources.backends.gcs import Gcs
from resources.backends.mongodb import MongoDb
from resources.backends.s3 import AwsS3
from resources.backends.settings import Settings
from resources.backends.sql.settings import Mysql, Postgresql, Sqlite
from resources.lake import Lake
from tests import servers

TITLE = "Backends: storing 10,000 runs of 20 issues, searching in 10 million issues"

Place = Callable[[str], Settings]
"""Settings of an empty storage under a name."""


@dataclass(frozen=True)
class Contest:
    """A backend, and what it is measured against."""

    what: str
    at_most: float
    served: Callable[[Path], Any]
    """A context manager that answers a `Place`."""
    peer: Callable[[Chunk], Callable[[Any], None]] | None = None
    """None for a lake: the objects that it wrote are put again."""


def run(setup: Setup) -> list[Row]:
    runs = setup.scale(10_000, 500)
    chunk = lakes.chunk(generate.runs(runs, lakes.PLUGINS, lakes.ISSUES_A_RUN))
    one = lakes.chunk(generate.runs(1, 1, (1, 1), seed=2))
    rows = [row for contest in CONTESTS for row in _measured(contest, chunk, one, setup.rounds)]
    return [*rows, *_or_missing("a search in PostgreSQL", partial(postgresql.rows, setup))]


def _measured(contest: Contest, chunk: Chunk, one: Chunk, rounds: int) -> list[Row]:
    def measure() -> list[Row]:
        with tempfile.TemporaryDirectory(dir=_data()) as folder, contest.served(Path(folder)) as place:
            if contest.peer is None:
                return _lake(contest, place, chunk, one, rounds)
            return [_database(contest, place, contest.peer(chunk), chunk, one, rounds)]

    return _or_missing(contest.what, measure)


def _or_missing(what: str, measure: Callable[[], list[Row]]) -> list[Row]:
    try:
        return measure()
    except pytest.skip.Exception as reason:
        return [Row(what, "not measured", note=str(reason))]


def _database(
    contest: Contest, place: Place, store: Callable[[Any], None], chunk: Chunk, one: Chunk, rounds: int
) -> Row:
    names = (f"t{number}" for number in count())

    def empty() -> Settings:
        """Tables or collections with their indexes, and next to nothing in them."""
        settings = place(next(names))
        settings.open().append(one.runs, one.issues)
        return settings

    def ours() -> float:
        backend = empty().open()
        backend.days()  # connected, as one that has been used before
        return seconds(lambda: backend.append(chunk.runs, chunk.issues))

    def peer() -> float:
        settings = empty()
        return seconds(lambda: store(settings))

    gc.collect()
    gc.freeze()  # or what the peer holds ready would be looked through again and again while ours works
    samples = interleaved({"ours": ours, "peer": peer}, rounds)
    gc.unfreeze()
    return times_the_time(contest.what, samples["ours"], samples["peer"], contest.at_most)


def _lake(contest: Contest, place: Place, chunk: Chunk, one: Chunk, rounds: int) -> list[Row]:
    names = (f"t{number}" for number in count())
    objects: dict[str, bytes] = {}

    def opened() -> Lake:
        """A lake with a run of its own, known to this process."""
        lake: Any = place(next(names)).open()
        lake.append(one.runs, one.issues)
        return lake  # type: ignore[no-any-return]

    def ours() -> float:
        lake = opened()
        before = _paths(lake)
        taken = seconds(lambda: lake.append(chunk.runs, chunk.issues))
        written = _paths(lake) - before
        objects.clear()
        objects.update({path: lake.files.read(path) for path in written})
        return taken

    def peer() -> float:
        files: Any = opened().files
        puts = {f"{files.root}/again/{path}": data for path, data in objects.items()}
        return seconds(lambda: peers.put(files.fs, puts))

    def made() -> float:
        files: Any = opened().files
        tables = {f"{files.root}/made/{path}": peers.table(data) for path, data in objects.items()}
        return seconds(lambda: peers.make_and_put(files.fs, tables))

    samples = interleaved({"ours": ours, "peer": peer, "made": made}, rounds)
    row = times_the_time(contest.what, samples["ours"], samples["peer"], contest.at_most)
    row.note = (
        f"{len(objects)} objects, {sum(map(len, objects.values())) / 2**20:.1f} MiB; ours makes Parquet of"
        " the rows and looks run ids up; the peer has the bytes, and puts all of them at once"
    )
    bound = times_the_time("…, against making Parquet too", samples["ours"], samples["made"])
    bound.note = (
        "pyarrow makes the same objects of tables that are sorted and coded already, and each is put"
        " as soon as it is made: so much of the line above can nobody save who has rows and not bytes"
    )
    return [row, bound]


def _paths(lake: Lake) -> set[str]:
    return {entry.path for folder in (RUNS, ISSUES) for entry in lake.files.find(folder)}


def _data() -> Path:
    generate.DATA.mkdir(parents=True, exist_ok=True)
    return generate.DATA


@contextmanager
def _postgresql(_: Path) -> Iterator[Place]:
    # PostgreSQL does not run as root, nor below folders that are root's alone.
    with tempfile.TemporaryDirectory() as folder, servers.postgresql(Path(folder)) as server:
        yield partial(_sql, Postgresql, server)


@contextmanager
def _mysql(folder: Path) -> Iterator[Place]:
    with servers.mysql(folder) as server:
        yield partial(_sql, Mysql, server)


@contextmanager
def _sqlite(folder: Path) -> Iterator[Place]:
    yield lambda name: Sqlite(database_path=str(folder / f"{name}.db"))


@contextmanager
def _mongodb(folder: Path) -> Iterator[Place]:
    with servers.mongo(folder, "--replSet", "rs0") as server:
        yield lambda name: MongoDb(connection_string=server.url, collection=name)


@contextmanager
def _bucket(folder: Path, start: Any, make: Callable[[Any], object], place: Any) -> Iterator[Place]:
    with ExitStack() as stack:
        server = stack.enter_context(servers.running(start(folder)))
        make(server)
        yield partial(place, server)


def _sql(kind: Any, server: servers.Sql, name: str) -> Settings:
    settings: Settings = kind(
        host="127.0.0.1",
        port=server.port,
        database="plugpipe",
        username=server.username,
        password=server.password,
        table_name=name,
    )
    return settings


def _s3(server: servers.Server, name: str) -> AwsS3:
    return AwsS3(
        bucket="issuelake",
        prefix=name,
        endpoint_url=server.url,
        region="us-east-1",
        access_key_id="owner",
        secret_access_key=servers.SECRETS["owner"],
    )


def _azure(server: servers.Server, name: str) -> AzureBlob:
    return AzureBlob(
        container_name="issuelake",
        prefix=name,
        account_name=servers.AZURE_ACCOUNT,
        account_key=servers.AZURE_KEY,
        endpoint_url=f"{server.url}/{servers.AZURE_ACCOUNT}",
    )


def _gcs(server: servers.Server, name: str) -> Gcs:
    return Gcs(bucket_name="issuelake", project_id="tests", prefix=name, endpoint_url=server.url)


def _tabular(
    store: Callable[[peers.Rows], Callable[[Any], None]],
) -> Callable[[Chunk], Callable[[Any], None]]:
    return lambda chunk: store(peers.rows(chunk))


CONTESTS = (
    Contest("PostgreSQL, against COPY", 2, _postgresql, _tabular(peers.postgresql)),
    Contest("MySQL (MariaDB), against executemany", 2, _mysql, _tabular(peers.mysql)),
    Contest("SQLite, against executemany", 2, _sqlite, _tabular(peers.sqlite)),
    Contest("MongoDB, against insert_many", 1.5, _mongodb, peers.mongodb),
    Contest(
        "a lake on S3 (SeaweedFS), against putting its objects",
        1.3,
        partial(
            _bucket,
            start=servers.seaweedfs,
            make=lambda server: servers.s3_client(server).create_bucket(Bucket="issuelake"),
            place=_s3,
        ),
    ),
    Contest(
        "a lake on Azure (Azurite), the same",
        1.3,
        partial(
            _bucket,
            start=servers.azurite,
            make=lambda server: servers.azure_client(server).create_container("issuelake"),
            place=_azure,
        ),
    ),
    Contest(
        "a lake on GCS (fake-gcs-server), the same",
        1.3,
        partial(_bucket, start=servers.fake_gcs, make=servers.make_gcs_bucket, place=_gcs),
    ),
)
