"""Run files are read whole, however large they were when they were found."""

from __future__ import annotations

from pathlib import Path

import pytest

from assets import sources
from resources.errors import StorageError

LONG = b"x" * (3 << 20)


@pytest.mark.parametrize(
    "now", [b"", b"ab", b"abcdef", LONG], ids=["empty", "shorter", "longer", "much longer"]
)
def test_a_file_that_changed_since_it_was_found(tmp_path: Path, now: bytes) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(b"abcd")
    found = sources.find([str(file)])
    file.write_bytes(now)
    [delivery] = sources.fetch(found)
    assert delivery.raw == now


def test_a_file_that_has_gone_since_it_was_found(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(b"{}")
    found = sources.find([str(file)])
    file.unlink()
    with pytest.raises(StorageError, match="No such file"):
        sources.fetch(found)
