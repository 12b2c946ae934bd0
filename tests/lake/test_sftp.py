"""A lake over SFTP, which stands for every storage that publishes by renaming."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.lake.contract import LakeContract
from tests.servers import Storage


class TestSftpLake(LakeContract):
    @pytest.fixture
    def place(self, sftp_server: Storage) -> Storage:
        return Storage(f"{sftp_server.url}/{uuid4()}/lake", sftp_server.options)
