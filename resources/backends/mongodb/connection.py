"""The connection to a MongoDB server, and what its driver's errors become."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resources.backends.mongodb import MongoDb
from resources.errors import ConfigError, StorageError, UsageError
from resources.secrets import hide, secrets_in

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.client_session import ClientSession
    from pymongo.collection import Collection

Document = dict[str, Any]

_INSTALL = "mongodb needs a package that is not installed: pip install 'issuelake[mongodb]'"
_READ_PREFERENCES = ("primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest")


@dataclass(frozen=True, slots=True)
class Collections:
    """The collections of one storage, all named after the first, which writes go to."""

    runs: Collection[Document]
    """One document per run."""
    parts: Collection[Document]
    """What does not fit into a run's document."""
    files: Collection[Document]
    deletions: Collection[Document]
    meta: Collection[Document]


class Connection:
    """A client with the settings of one storage; many threads may share it."""

    def __init__(self, client: MongoClient[Document], settings: MongoDb) -> None:
        from pymongo import WriteConcern

        self.url = settings.place()
        self.client = client
        self.timeout = settings.timeout_seconds
        self._secrets = secrets_in({"connection_string": settings.connection_string})
        self._snapshots: bool | None = None
        self.read_preference = client.read_preference
        concern: Document = {"w": "majority", "j": True, "wtimeout": int(self.timeout * 1000)}
        concern |= client.write_concern.document
        database = client.get_database(settings.database, write_concern=WriteConcern(**concern))
        from pymongo import ReadPreference

        names = ("", "_parts", "_files", "_deletions", "_meta")
        # A writer must know what it replaces: it asks the primary, whatever readers may do.
        self.writing = Collections(
            *(
                database.get_collection(settings.collection + name, read_preference=ReadPreference.PRIMARY)
                for name in names
            )
        )
        self.reading = Collections(*(database.get_collection(settings.collection + name) for name in names))

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """What fails inside becomes a `StorageError` without secrets that says what was tried."""
        from bson.errors import BSONError
        from pymongo.errors import PyMongoError

        try:
            yield
        except (PyMongoError, BSONError, OverflowError) as error:
            raise StorageError(f"Could not {what} {self.url}: {self.reason(error)}.") from None

    def reason(self, error: Exception) -> str:
        """Why the driver gave up, in a few words."""
        from pymongo.errors import ConnectionFailure, OperationFailure

        text = str(error)
        if isinstance(error, OperationFailure) and error.code == 18:
            return "the user name or password was refused; see connection_string"
        if isinstance(error, OperationFailure) and error.code == 13:
            return f"the user may not do that ({text.partition(' to execute command')[0]})"
        if isinstance(error, ConnectionFailure):
            text = f"no server answered in time or the connection broke ({text.partition(', Timeout:')[0]})"
        else:
            text = text.partition(", full error:")[0]
        text = hide(text, self._secrets)
        return text.splitlines()[0][:300].rstrip(".") if text else type(error).__name__

    @contextmanager
    def session(self) -> Iterator[ClientSession | None]:
        """A session whose reads all see the same moment, where the server can; else None.

        Only a replica set can. A snapshot holds what a majority has, so with a weaker write concern
        it could lack what was acknowledged just before.
        """
        if self._snapshots is None:
            hello = self.client.admin.command("hello")
            several = "setName" in hello or hello.get("msg") == "isdbgrid"
            self._snapshots = several and self.writing.runs.write_concern.document["w"] == "majority"
        if not self._snapshots:
            yield None
            return
        with self.client.start_session(snapshot=True) as session:
            yield session


def connect(settings: MongoDb) -> Connection:
    """A connection, which need not be up yet. Raises `ConfigError` and `UsageError`."""
    try:
        from pymongo import MongoClient
        from pymongo.errors import PyMongoError
    except ImportError as error:
        raise UsageError(f"{_INSTALL} ({error}).") from None
    milliseconds = int(settings.timeout_seconds * 1000)
    concern = _write_concern(settings.write_concern)
    if concern.get("w") == 0:
        raise ConfigError(
            "mongodb.write_concern 0 acknowledges what may be lost: give 1 or more, or majority."
        )
    if milliseconds <= 0:
        raise ConfigError("mongodb.timeout_seconds must be more than 0.")
    try:
        client: MongoClient[Document] = MongoClient(
            settings.connection_string,
            appname="issuelake",
            connectTimeoutMS=milliseconds,
            serverSelectionTimeoutMS=milliseconds,
            socketTimeoutMS=2 * milliseconds,  # a write may wait as long as that for others to have it
            **concern,
            **_read_preference(settings.read_preference),
        )
    except (PyMongoError, ValueError, TypeError):  # whose message may quote what it could not read
        raise ConfigError(
            "mongodb.connection_string cannot be read: give mongodb://USER:PASSWORD@HOST:PORT/?OPTIONS, with"
            " @ : / ? # % in names and passwords written as %40 and so on; or write_concern is not one."
        ) from None
    try:
        connection = Connection(client, settings)
    except (PyMongoError, ValueError, TypeError) as error:
        client.close()
        raise ConfigError(f"mongodb.database, collection or write_concern is not one: {error}.") from None
    weakref.finalize(connection, client.close)
    return connection


def _write_concern(given: int | str | Document | None) -> Document:
    """`given` as arguments of a client."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        text = str(given)
        return {"w": int(text) if text.isdigit() else text}
    names = {
        "w": "w",
        "j": "journal",
        "journal": "journal",
        "wtimeout": "wTimeoutMS",
        "wtimeoutMS": "wTimeoutMS",
    }
    unknown = set(given) - set(names)
    if unknown:
        raise ConfigError(f"mongodb.write_concern has no {sorted(unknown)[0]!r}; it has {', '.join(names)}.")
    return {names[name]: value for name, value in given.items()}


def _read_preference(given: str | None) -> Document:
    if given is None:
        return {}
    for known in _READ_PREFERENCES:
        if re.sub(r"[_\s-]", "", given).lower() == known.lower():
            return {"readPreference": known}
    raise ConfigError(
        f"mongodb.read_preference is {given!r}, which is not one of {', '.join(_READ_PREFERENCES)}."
    )
