"""The built-in fault_injection: nothing goes wrong but what is asked for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from resources.backend import Backend
from resources.backends.custom.faults import FaultInjection
from resources.errors import ConfigError, StorageError
from tests.backends.contract import BackendContract
from tests.lake.state import append, check, document, stored


class TestNoFaultsAtAll(BackendContract):
    @pytest.fixture
    def place(self) -> str:
        return uuid4().hex

    def another(self, place: str) -> Backend:
        return faulty(place)


def faulty(name: str | None = None, **faults: Any) -> FaultInjection:
    return FaultInjection({"memory": {"name": name or uuid4().hex}}, **faults)


def outcomes(**faults: Any) -> list[bool]:
    """Which of forty calls went well."""
    backend = faulty(**faults)
    went_well = []
    for _ in range(40):
        try:
            backend.days()
            went_well.append(True)
        except StorageError:
            went_well.append(False)
    return went_well


def test_a_share_of_the_calls_fails_and_the_seed_says_which() -> None:
    seen = outcomes(failure_rate=0.5, seed=7)
    assert 5 < seen.count(False) < 35
    assert outcomes(failure_rate=0.5, seed=7) == seen
    assert outcomes(failure_rate=0.5, seed=8) != seen
    assert not any(outcomes(failure_rate=1))


def test_what_fails_is_every_kind_of_call() -> None:
    backend = faulty(failure_rate=1)
    for call in (
        lambda: append(backend, [document("a")]),
        lambda: backend.reading(lambda _: None),
        lambda: backend.delete(["a"]),
        backend.rejected,
        backend.maintain,
        lambda: backend.files.find(""),
    ):
        with pytest.raises(StorageError, match="as asked for"):
            call()
    checked = backend.check()
    assert not checked.healthy
    assert "check failed, as asked for" in (checked.error or "")


def test_every_call_takes_so_long() -> None:
    backend = faulty(latency_ms=30)
    started = time.perf_counter()
    for _ in range(5):
        backend.days()
    assert time.perf_counter() - started >= 0.15
    assert backend.check().latency_ms >= 30


def test_there_is_room_for_so_many_runs() -> None:
    backend = faulty(item_limit=2)
    append(backend, [document("a"), document("b")])
    append(backend, [document("b", version=1)])  # which takes no more room
    with pytest.raises(StorageError, match=r"room for 2 runs only \(item_limit\)"):
        append(backend, [document("c")])
    check(backend, {"a": stored("a"), "b": stored("b", version=1)})
    backend.delete(["a"])
    append(backend, [document("c")])


def test_it_stands_before_any_backend(tmp_path: Path) -> None:
    backend = FaultInjection({"sqlite": {"database_path": str(tmp_path / "issues.db")}})
    append(backend, [document("a")])
    check(backend, {"a": stored("a")})
    assert backend.url.endswith("issues.db")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"failure_rate": 1.5}, "failure_rate"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"latency": 5}, "its keys are backend, latency_ms, failure_rate, seed, item_limit"),
        ({"backend": {"no_such": {}}}, "'no_such' is not a backend"),
        ({"backend": {"memory": {}, "sqlite": {}}}, "one backend's name"),
    ],
)
def test_what_is_wrong_is_told(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        FaultInjection(**keys)
