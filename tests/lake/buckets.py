"""What every lake in a bucket promises beyond the contract: errors that come in time, and tell."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from resources.config import active, configured
from resources.errors import StorageError
from resources.lake import Lake
from tests.lake.contract import LakeContract
from tests.lake.state import append, check, document, stored
from tests.proxy import Proxy, proxy
from tests.servers import Server, Storage

SECONDS = 3.0
"""The deadline of a call where a test waits for it …"""
MARGIN = 3.0
"""… and how much later, on a busy machine, the error may come."""


def open_lake(backend: str, keys: dict[str, Any]) -> Lake:
    """The lake that a configuration names."""
    lake = active(configured({"storage_backend": backend, "storage_config": {backend: keys}})).open().backend
    assert isinstance(lake, Lake)
    return lake


@dataclass
class Refused:
    """What a `StorageError` told, and the traceback above it."""

    text: str = ""
    seconds: float = 0.0
    everything: str = ""


@contextmanager
def refused() -> Iterator[Refused]:
    """The block raises a `StorageError`."""
    told = Refused()
    started = time.monotonic()
    with pytest.raises(StorageError) as caught:
        yield told
    told.seconds = time.monotonic() - started
    told.text = str(caught.value)
    told.everything = "".join(traceback.format_exception(caught.value))
    assert "\n" not in told.text


class BucketContract(LakeContract):
    """A storage's module supplies `server` and these."""

    backend_name: ClassVar[str]
    bucket_key: ClassVar[str]
    secrets: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture
    def server(self) -> Server:
        raise NotImplementedError

    def keys(self, url: str, prefix: str) -> dict[str, Any]:
        """The configuration of a lake, the server being at `url`."""
        raise NotImplementedError

    def wrong_credentials(self, keys: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    @pytest.fixture
    def place(self, server: Server) -> Storage:
        return Storage(self.backend_name, self.keys(server.url, f"{uuid4()}/läke 1"))

    def another(self, place: Storage) -> Lake:
        return open_lake(place.url, place.options)

    @pytest.fixture
    def bad(self, server: Server) -> Iterator[Proxy]:
        with proxy(server.port) as control:
            yield control

    @pytest.fixture
    def far(self, bad: Proxy) -> Lake:
        """A lake behind the proxy, with one run."""
        lake = open_lake(self.backend_name, self.keys(bad.url, str(uuid4())) | {"timeout_seconds": SECONDS})
        append(lake, [document("a")])
        return lake

    @pytest.fixture(autouse=True)
    def nothing_secret_is_told(
        self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> Iterator[None]:
        caplog.set_level(logging.INFO)
        yield
        told = caplog.text + "".join(capfd.readouterr())
        assert not [secret for secret in self.secrets if secret in told]

    def test_a_bucket_that_is_not_there(self, place: Storage) -> None:
        lake = open_lake(self.backend_name, place.options | {self.bucket_key: "not-there"})
        for call in calls(lake):
            with refused() as told:
                call()
            assert "not-there" in told.text
        health = lake.check()
        assert not health.healthy
        assert "create the bucket" in str(health.error)

    def test_wrong_credentials(self, place: Storage) -> None:
        keys = self.wrong_credentials(place.options)
        lake = open_lake(self.backend_name, keys)
        for call in calls(lake):
            with refused() as told:
                call()
            assert told.seconds < SECONDS
            assert not [
                s for s in (*self.secrets, *keys.values()) if is_secret(s, keys) and s in told.everything
            ]

    def test_secrets_are_not_shown(self, place: Storage) -> None:
        from rich.pretty import pretty_repr

        found = active(configured({"storage_config": {self.backend_name: place.options}}))
        lake = found.open().backend
        shown = [
            repr(found),
            str(found.settings),
            pretty_repr(found.settings),
            found.settings.place(),
            lake.url,
        ]
        shown += [repr(lake), repr(vars(lake))]
        for secret in self.secrets:
            assert secret in repr(place.options)
            assert secret not in " ".join(shown)

    def test_a_slow_server_is_waited_for(self, bad: Proxy, far: Lake) -> None:
        bad.latency = 0.2
        append(far, [document("b")])
        check(far, {i: stored(i) for i in "ab"})

    def test_a_server_that_never_answers(self, bad: Proxy, far: Lake) -> None:
        bad.black_hole = True
        for call in calls(far):
            with refused() as told:
                call()
            assert told.seconds < SECONDS + MARGIN
            assert f"{SECONDS:g} s" in told.text
            assert not [secret for secret in self.secrets if secret in told.everything]
        bad.black_hole = False
        append(far, [document("b")])
        check(far, {i: stored(i) for i in "ab"})

    @pytest.mark.parametrize("how", ["reset", "cut"])
    def test_connections_that_break(self, bad: Proxy, far: Lake, how: str) -> None:
        bad.reset, bad.cut_after = how == "reset", 90 if how == "cut" else None
        for call in calls(far):
            with refused() as told:
                call()
            assert told.seconds < SECONDS + MARGIN
        bad.reset, bad.cut_after = False, None
        append(far, [document("b"), document("c")])
        check(far, {i: stored(i) for i in "abc"})

    def test_a_server_that_is_killed_and_comes_back(self, server: Server, place: Storage) -> None:
        lake = open_lake(self.backend_name, place.options | {"timeout_seconds": SECONDS})
        append(lake, [document("a")])
        server.kill()
        try:
            for call in calls(lake):
                with refused() as told:
                    call()
                assert told.seconds < SECONDS + MARGIN
                assert not [secret for secret in self.secrets if secret in told.everything]
        finally:
            server.start()
        patiently(lambda: append(lake, [document("b")]))
        check(lake, {i: stored(i) for i in "ab"})
        check(self.another(place), {i: stored(i) for i in "ab"})

    def test_prefixes_keep_lakes_apart(self, server: Server) -> None:
        root = str(uuid4())
        lakes = [
            open_lake(self.backend_name, self.keys(server.url, p)) for p in (f"/{root}/a/", f"{root}/ab")
        ]
        for n, lake in enumerate(lakes):
            append(lake, [document("a", version=n)])
        for n, lake in enumerate(lakes):
            check(lake, {"a": stored("a", version=n)})


def calls(lake: Lake) -> list[Callable[[], object]]:
    """One that lists, one that writes, one that reads."""
    return [
        lake.days,
        lambda: lake.files.publish(f"health/{uuid4()}.probe", b"."),
        lambda: append(lake, [document(str(uuid4()))]),
    ]


def patiently(call: Callable[[], object], seconds: float = 20) -> None:
    """`call`, again while a server that has just started does not answer for all it does."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            call()
            return
        except StorageError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def is_secret(value: Any, keys: dict[str, Any]) -> bool:
    return any(v == value and ("key" in k or "string" in k) and k != "access_key_id" for k, v in keys.items())
