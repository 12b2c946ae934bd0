"""What all tests share: servers that start once a session, when the first test asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers

pytest.register_assert_rewrite("tests.backends.contract", "tests.lake.contract", "tests.lake.state")


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
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Sql]:
    """A real PostgreSQL, with TLS."""
    with servers.postgresql(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture(scope="session")
def mysql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Sql]:
    """A real MariaDB, with TLS."""
    with servers.mysql(tmp_path_factory.mktemp("mysql")) as server:
        yield server
