"""A migration that is killed at any moment goes on where it was when it is begun again."""

from __future__ import annotations

import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from resources.backend import Backend
from resources.lake import Lake
from resources.place import named
from tests.lake.state import FIRST_DAY, append, document, read
from tests.migration.places import everything, furnish
from tests.test_cli import ENVIRONMENT

PROGRAM = """
import sys
from assets.migration import comparing
comparing.PORTION_RUNS = 1  # so that there is much to be killed in
sys.argv = ["issuelake", "migrate", *sys.argv[1:]]
print("begun", flush=True)
from pipelines.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lake", "sqlite"])
@pytest.mark.parametrize("way", ["to", "from"])
def test_killed_and_begun_again(kind: str, way: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        f"storage_config:\n  sqlite: {{database_path: {tmp_path}/issues.db, synchronous: 'OFF'}}\n"
        f"  local_file: {{storage_path: {tmp_path}/other}}\n"
    )
    places = [str(tmp_path / "lake"), f"{tmp_path}/c.yaml#{'sqlite' if kind == 'sqlite' else 'local_file'}"]
    first, second = places if way == "to" else places[::-1]
    source: Backend = named(first).open().backend
    furnish(source)
    append(source, [document(f"d{n}", FIRST_DAY + timedelta(days=n), issues=n % 5) for n in range(40)])
    before = everything(source)
    chance = random.Random(4711)
    killed = 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "--from", first, "--to", second, "--move", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        try:
            # Longer each time, so that it comes to an end on a slow machine too.
            _, errors = process.communicate(timeout=0.8 + chance.random() * (1 + killed / 4))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
    # With everything moved already, there is nothing there to begin with.
    assert process.returncode == 0, errors.decode()
    assert killed, "it was never killed"
    assert read(named(first).open().backend) == {}
    target = named(second).open().backend
    assert everything(target) == before
    if isinstance(target, Lake):
        target.maintain(timedelta(0))
        assert everything(target) == before
