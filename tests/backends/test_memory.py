"""The built-in memory: a lake that is shared by name, as long as the process lives."""

from __future__ import annotations

from uuid import uuid4

import pytest

from resources.backend import Backend
from resources.backends.custom.memory import Memory
from resources.errors import ConfigError
from tests.backends.contract import BackendContract
from tests.lake.state import append, check, document, stored


class TestMemory(BackendContract):
    @pytest.fixture
    def place(self) -> str:
        return uuid4().hex

    def another(self, place: str) -> Backend:
        return Memory(place)


def test_other_names_are_other_lakes() -> None:
    first, second = Memory(uuid4().hex), Memory(uuid4().hex)
    append(first, [document("a")])
    check(first, {"a": stored("a")})
    check(second, {})


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "x" * 101, 7])
def test_a_name_is_a_word(name: str) -> None:
    with pytest.raises(ConfigError, match="name must be a word"):
        Memory(name)
