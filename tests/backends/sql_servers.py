"""Where the database servers of the tests are, as a configuration has it."""

from __future__ import annotations

from itertools import count
from typing import TypeVar

from resources.backends.settings import Settings
from tests.servers import Sql

S = TypeVar("S", bound=Settings)

_NUMBER = count()


def settings(kind: type[S], server: Sql, **others: object) -> S:
    """Tables of their own on `server`."""
    keys = {
        "host": "127.0.0.1",
        "port": server.port,
        "database": "plugpipe",
        "username": server.username,
        "password": server.password,
        "table_name": f"t{next(_NUMBER)}",
    }
    return kind(**(keys | others))  # type: ignore[arg-type]  # each takes these
