"""MySQL, for which MariaDB stands."""

from __future__ import annotations

from itertools import count

import pytest

from resources.backend import Backend
from resources.backends.sql.settings import Mysql
from tests.backends.contract import BackendContract
from tests.servers import Sql

_NUMBER = count()


def settings(server: Sql, **others: object) -> Mysql:
    """Tables of their own on the server."""
    keys = {
        "host": "127.0.0.1",
        "port": server.port,
        "database": "plugpipe",
        "username": server.username,
        "password": server.password,
        "table_name": f"t{next(_NUMBER)}",
    }
    return Mysql(**(keys | others))  # type: ignore[arg-type]


class TestMysql(BackendContract):
    @pytest.fixture
    def place(self, mysql_server: Sql) -> Mysql:
        return settings(mysql_server)

    def another(self, place: Mysql) -> Backend:
        return place.open()
