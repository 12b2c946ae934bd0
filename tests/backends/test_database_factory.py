"""One of several databases, the first that is well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from resources.backend import Backend
from resources.config import Opened, configured
from resources.errors import ConfigError, StorageError
from tests.lake.state import append, check, document, stored
from tests.servers import free_port


def factory(tmp_path: Path, **config: Any) -> Backend:
    """PostgreSQL, where nobody listens unless a test makes it so, then SQLite."""
    return opened(tmp_path, **config).begin().backend


def opened(tmp_path: Path, **config: Any) -> Opened:
    keys = {
        "factory_config": {"primary_database": "postgresql", "fallback_databases": ["sqlite"], **config},
        "databases": {
            "postgresql": {"port": "${PORT}", "username": "u", "password": "p-4711", "timeout_seconds": 1},
            "sqlite": {"database_path": str(tmp_path / "issues.db")},
        },
    }
    document = {
        "storage_backend": "database_factory",
        "storage_config": {"database_factory": keys, "local_file": {"storage_path": str(tmp_path / "lake")}},
    }
    return Opened(configured(document))


@pytest.fixture(autouse=True)
def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", str(free_port()))


def test_the_fallback_takes_what_the_primary_cannot(tmp_path: Path) -> None:
    storage = opened(tmp_path).begin()
    append(storage.backend, [document("a")])
    check(storage.backend, {"a": stored("a")})
    assert storage.used == "database_factory"
    assert storage.trace is not None
    assert [(a.backend, a.outcome) for a in storage.trace.attempts] == [
        ("database_factory.postgresql", "failed"),
        ("database_factory.sqlite", "used"),
    ]
    assert storage.backend.check().healthy


def test_what_the_fallback_took_is_owed_to_the_primary(tmp_path: Path) -> None:
    factory_ = opened(tmp_path)
    append(factory_.begin().backend, [document("a")])
    assert factory_.chain is not None
    [entry] = factory_.chain.ledger.entries()
    assert (entry.owed_to, entry.held_by) == ("database_factory.postgresql", "database_factory.sqlite")


def test_a_database_that_is_away_is_not_asked_at_every_call(tmp_path: Path) -> None:
    factory_ = opened(tmp_path, health_check_interval=3600)
    for n in range(5):
        append(factory_.begin().backend, [document(f"r{n}")])
    assert factory_.chain is not None
    assert factory_.chain.preferred.standing.known.failures == 1


def test_without_failover_the_primary_is_all_there_is(tmp_path: Path) -> None:
    backend = factory(tmp_path, enable_failover=False)
    with pytest.raises(StorageError, match=r"No storage is well: database_factory\.postgresql") as caught:
        append(backend, [document("a")])
    assert "p-4711" not in str(caught.value)
    assert not (tmp_path / "issues.db").exists()


def test_a_mistake_of_the_caller_is_no_reason_to_go_on(tmp_path: Path) -> None:
    """What fails on a storage that is well fails; the next one would fail in the same way."""
    backend = factory(tmp_path)
    append(backend, [document("a")])

    def failing(_: Any) -> None:
        raise StorageError("the reader's own")

    with pytest.raises(StorageError, match="the reader's own"):
        backend.reading(failing)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"primary_database": "mongodb"}, "names 'mongodb', which is not in databases"),
        ({"fallback_databases": ["mysql"]}, "names 'mysql', which is not in databases"),
    ],
)
def test_what_is_not_configured_is_named(tmp_path: Path, config: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        factory(tmp_path, **config)
