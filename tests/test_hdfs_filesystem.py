"""HDFS as an fsspec filesystem, against Hadoop's own NameNode and DataNode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import fsspec
import pytest
from fsspec.tests import abstract

from resources.files import open_filesystem
from tests.hadoop import SUPERUSER, Cluster

FS = fsspec.AbstractFileSystem


class HdfsFixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, hdfs_server: Cluster) -> FS:
        return filesystem(hdfs_server)

    @pytest.fixture
    def fs_path(self, fs: FS) -> Iterator[str]:
        path = f"/tests/{uuid4()}"
        fs.mkdir(path)
        yield path
        fs.rm(path, recursive=True)


class TestCopy(abstract.AbstractCopyTests, HdfsFixtures):
    pass


class TestGet(abstract.AbstractGetTests, HdfsFixtures):
    pass


class TestPut(abstract.AbstractPutTests, HdfsFixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, HdfsFixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, HdfsFixtures):
    pass


def filesystem(cluster: Cluster, **options: Any) -> FS:
    return open_filesystem(f"pyhdfs://{cluster.hosts}/", {"user": SUPERUSER} | options)[0]
