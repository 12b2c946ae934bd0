"""SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.backend import Backend
from resources.backends.sql.settings import Sqlite
from tests.backends.contract import BackendContract


class TestSqlite(BackendContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Sqlite:
        return Sqlite(database_path=str(tmp_path / "a folder" / "issues.db"))

    def another(self, place: Sqlite) -> Backend:
        return place.open()
