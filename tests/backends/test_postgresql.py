"""PostgreSQL."""

from __future__ import annotations

import pytest

from resources.backend import Backend
from resources.backends.sql.settings import Postgresql
from tests.backends.contract import BackendContract
from tests.backends.sql_servers import settings
from tests.servers import Sql


class TestPostgresql(BackendContract):
    @pytest.fixture
    def place(self, postgresql_server: Sql) -> Postgresql:
        return settings(Postgresql, postgresql_server)

    def another(self, place: Postgresql) -> Backend:
        return place.open()
