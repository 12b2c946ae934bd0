"""A lake on a real NFS server: `make test-nfs` boots a guest that has one, and runs this in it."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import pytest

from resources.lake import Lake
from tests.lake.buckets import open_lake
from tests.lake.contract import LakeContract
from tests.servers import Storage

MOUNTS = [Path(path) for path in os.environ.get("ISSUELAKE_NFS", "").split(":") if path]
"""Where the same export is mounted twice, each with caches of its own."""

pytestmark = pytest.mark.skipif(
    not MOUNTS, reason="needs a kernel with an NFS server: make test-nfs boots one, CI does not"
)


class TestNfsLake(LakeContract):
    @pytest.fixture
    def place(self) -> Storage:
        return Storage("nfs", {"mount_path": str(MOUNTS[0]), "storage_path": f"{uuid4()}/a lake"})

    def another(self, place: Storage) -> Lake:
        return open_lake(place.url, place.options)
