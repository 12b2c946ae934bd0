"""A lake in a bucket."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.lake.contract import LakeContract
from tests.servers import Storage


class TestS3Lake(LakeContract):
    @pytest.fixture
    def place(self, s3_server: Storage) -> Storage:
        return Storage(f"{s3_server.url}/{uuid4()}/lake", s3_server.options)
