"""MongoDB: the keys that a configuration has for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from resources.backends.settings import Settings

if TYPE_CHECKING:
    from resources.backends.mongodb.store import MongoStore

_HOSTS = re.compile(r"[\w.\-:\[\],%]+")


class MongoDb(Settings, kw_only=True):
    """A MongoDB database. What is left out here may stand in the connection string."""

    connection_string: str
    database: str = "plugpipe"
    collection: str = "validation_issues"
    write_concern: int | str | dict[str, Any] | None = None
    read_preference: str | None = None
    timeout_seconds: float = 30
    priority: int = 2

    def place(self) -> str:
        return f"mongodb://{_hosts(self.connection_string)}/{self.database}/{self.collection}"

    def open(self) -> MongoStore:
        from resources.backends.mongodb.connection import connect
        from resources.backends.mongodb.store import MongoStore

        return MongoStore(connect(self))


def _hosts(connection_string: str) -> str:
    """The hosts of a connection string, of which nothing is shown that may be part of a password."""
    rest = connection_string.partition("://")[2]
    before_options = rest.partition("?")[0]
    if "@" in rest and "@" not in before_options:
        return "…"
    hosts = before_options.rpartition("@")[2].partition("/")[0]
    return hosts if _HOSTS.fullmatch(hosts) else "…"
