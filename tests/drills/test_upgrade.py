"""What an older version wrote opens: the samples beside this file, as they were made then."""

from __future__ import annotations

import json
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from resources.config import open_storage
from resources.errors import StorageError
from tests.drills.world import everything
from tests.lake.state import DAYS, append, document, read

SAMPLES = sorted(Path(__file__).parent.glob("written-by-*"))


def test_there_is_a_sample() -> None:
    assert SAMPLES


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
@pytest.mark.parametrize("kind", ["lake", "issues.db"])
def test_what_an_older_version_wrote_opens_and_goes_on(sample: Path, kind: str, tmp_path: Path) -> None:
    wanted = json.loads((sample / f"{kind}.json").read_text("utf-8"))
    if kind == "lake":
        shutil.copytree(sample / kind, tmp_path / kind)
        backend = open_storage(str(tmp_path / kind)).backend
    else:
        shutil.copy(sample / kind, tmp_path)
        (tmp_path / "c.yaml").write_text(
            f"storage_backend: sqlite\nstorage_config: {{sqlite: {{database_path: {tmp_path}/{kind}}}}}\n"
        )
        backend = open_storage(config=tmp_path / "c.yaml").backend
    found = everything(backend)
    # A newer version may know more of each; what was known is as it was.
    for part, rows in wanted.items():
        assert len(found[part]) == len(rows), part
        for now, then in zip(found[part], rows, strict=True):
            assert then == (now if not isinstance(then, dict) else {key: now[key] for key in then}), part
    append(backend, [document("again", DAYS[0], version=2), document("moved", DAYS[0], version=2)])
    backend.maintain(timedelta(0))
    state = read(backend)
    assert (state["again"].version, state["moved"].version, state["moved"].day) == (2, 2, DAYS[0])
    assert len(state) == len(wanted["runs"])
    assert "gone" not in state


def test_an_older_program_does_not_touch_newer_tables(tmp_path: Path) -> None:
    shutil.copy(SAMPLES[0] / "issues.db", tmp_path)
    with sqlite3.connect(tmp_path / "issues.db") as connection:
        connection.execute("UPDATE validation_issues_meta SET value = '99' WHERE name = 'schema_version'")
    connection.close()
    (tmp_path / "c.yaml").write_text(
        f"storage_backend: sqlite\nstorage_config: {{sqlite: {{database_path: {tmp_path}/issues.db}}}}\n"
    )
    with pytest.raises(StorageError, match="99"):
        append(open_storage(config=tmp_path / "c.yaml").backend, [document("new")])
