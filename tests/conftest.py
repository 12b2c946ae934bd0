"""What all tests share: servers that start once a session, when the first test asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import hadoop, servers

pytest.register_assert_rewrite(
    "tests.backends.contract", "tests.lake.contract", "tests.lake.state", "tests.lake.buckets"
)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[servers.Storage]:
    """An S3 server in this process, with an empty bucket."""
    with servers.s3() as storage:
        yield storage


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Storage]:
    """A real OpenSSH server over a temporary folder."""
    folder: Path = tmp_path_factory.mktemp("sftp")
    with servers.sftp(folder) as storage:
        yield storage


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """SeaweedFS with the bucket `issuelake`."""
    with servers.running(servers.seaweedfs(tmp_path_factory.mktemp("seaweedfs"))) as server:
        servers.s3_client(server).create_bucket(Bucket="issuelake")
        yield server


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """Azurite with the container `issuelake`."""
    with servers.running(servers.azurite(tmp_path_factory.mktemp("azurite"))) as server:
        servers.azure_client(server).create_container("issuelake")
        yield server


@pytest.fixture(scope="session")
def fake_gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """fake-gcs-server with the bucket `issuelake`."""
    with servers.running(servers.fake_gcs(tmp_path_factory.mktemp("gcs"))) as server:
        servers.make_gcs_bucket(server)
        yield server


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Mongo]:
    """A MongoDB replica set of one."""
    with servers.mongo(tmp_path_factory.mktemp("mongo"), "--replSet", "rs0") as server:
        yield server


@pytest.fixture(scope="session")
def mongo_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Mongo]:
    """A MongoDB server outside of any replica set."""
    with servers.mongo(tmp_path_factory.mktemp("mongo-alone")) as server:
        yield server


@pytest.fixture(scope="session")
def hdfs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[hadoop.Cluster]:
    """Hadoop's NameNode and DataNode."""
    with hadoop.hdfs(tmp_path_factory.mktemp("hdfs")) as cluster:
        yield cluster


@pytest.fixture
def hdfs_pair(tmp_path: Path) -> Iterator[hadoop.Cluster]:
    """Two NameNodes of Hadoop, the first of them active, and a DataNode; for tests that kill them."""
    with hadoop.hdfs_pair(tmp_path) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[servers.Sql]:
    """A real PostgreSQL, with TLS."""
    with servers.open_to_all() as folder, servers.postgresql(folder) as server:
        yield server


@pytest.fixture(scope="session")
def mysql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Sql]:
    """A real MariaDB, with TLS."""
    with servers.mysql(tmp_path_factory.mktemp("mysql")) as server:
        yield server
