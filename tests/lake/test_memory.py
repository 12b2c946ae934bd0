"""A lake in memory, which stands for every object store that puts a file whole."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.lake.contract import LakeContract
from tests.servers import Storage


class TestMemoryLake(LakeContract):
    @pytest.fixture
    def place(self) -> Storage:
        return Storage(f"memory://{uuid4()}/lake")
