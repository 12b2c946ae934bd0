"""MongoDB: the contract on a replica set and on a server alone, and what only this storage has."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from resources.backend import Backend
from resources.backends.mongodb import MongoDb
from tests.backends.contract import BackendContract
from tests.servers import Mongo


class MongoContract(BackendContract):
    def another(self, place: Any) -> Backend:
        return place.open()


def settings(server: Mongo, **keys: Any) -> MongoDb:
    """A database of its own on `server`."""
    keys = {"connection_string": server.url, "database": f"t{uuid4().hex}", "timeout_seconds": 10} | keys
    return MongoDb(**keys)


class TestReplicaSet(MongoContract):
    @pytest.fixture
    def place(self, mongo_server: Mongo) -> MongoDb:
        return settings(mongo_server)


class TestAlone(MongoContract):
    @pytest.fixture
    def place(self, mongo_alone: Mongo) -> MongoDb:
        return settings(mongo_alone)
