"""PostgreSQL."""

from __future__ import annotations

from itertools import count

import pytest

from resources.backend import Backend
from resources.backends.sql.settings import Postgresql
from tests.backends.contract import BackendContract
from tests.servers import Sql

_NUMBER = count()


def settings(server: Sql, **others: object) -> Postgresql:
    """Tables of their own on the server."""
    keys = {
        "host": "127.0.0.1",
        "port": server.port,
        "database": "plugpipe",
        "username": server.username,
        "password": server.password,
        "table_name": f"t{next(_NUMBER)}",
    }
    return Postgresql(**(keys | others))  # type: ignore[arg-type]


class TestPostgresql(BackendContract):
    @pytest.fixture
    def place(self, postgresql_server: Sql) -> Postgresql:
        return settings(postgresql_server)

    def another(self, place: Postgresql) -> Backend:
        return place.open()
