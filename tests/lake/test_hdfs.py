"""A lake in HDFS."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.hadoop import SUPERUSER, Cluster
from tests.lake.contract import LakeContract
from tests.servers import Storage


class TestHdfsLake(LakeContract):
    @pytest.fixture
    def place(self, hdfs_server: Cluster) -> Storage:
        return Storage(f"pyhdfs://{hdfs_server.hosts}/{uuid4()}/lake", {"user": SUPERUSER})
