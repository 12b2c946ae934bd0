"""MySQL, for which MariaDB stands."""

from __future__ import annotations

import pytest

from resources.backend import Backend
from resources.backends.sql.settings import Mysql
from tests.backends.contract import BackendContract
from tests.backends.sql_servers import settings
from tests.servers import Sql


class TestMysql(BackendContract):
    @pytest.fixture
    def place(self, mysql_server: Sql) -> Mysql:
        return settings(Mysql, mysql_server)

    def another(self, place: Mysql) -> Backend:
        return place.open()
