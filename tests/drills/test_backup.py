"""Backup and restore, by the commands that docs/operations.md shows."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from resources.config import open_storage
from resources.errors import StorageError
from resources.place import named
from tests.drills.world import BACKUP, RESTORE, everything, fill, shell
from tests.lake.state import DAYS, append, document, read
from tests.test_cli import Cli


def test_a_restored_lake_answers_the_same(tmp_path: Path) -> None:
    lake = open_storage(str(tmp_path / "lake")).backend
    fill(lake)
    places = {
        "LAKE": lake.url,
        "BACKUP": str(tmp_path / "b"),
        "RESTORED": str(tmp_path / "r"),
        "HOME": str(tmp_path),
    }
    shell(BACKUP, **places)
    lake.maintain()
    append(lake, [document("after", DAYS[3])])
    shell(BACKUP, **places)
    wanted = everything(lake)
    told = shell(RESTORE, **places)
    assert "0 runs with 0 issues would be copied" in told, told
    shutil.rmtree(lake.url)
    restored = open_storage(places["RESTORED"]).backend
    assert everything(restored) == wanted
    append(restored, [document("goes on", DAYS[3])])
    assert "goes on" in read(restored)


def test_a_backup_made_while_others_write_is_whole(tmp_path: Path) -> None:
    """Whatever was there when it began is in it; nothing in it is torn."""
    lake = open_storage(str(tmp_path / "lake")).backend
    fill(lake)
    before = read(lake)
    # Between any two parts somebody stores something.
    (tmp_path / "stored").write_text("0")
    slow = 'n=$(cat "$HOME/stored"); while [ "$(cat "$HOME/stored")" = "$n" ]; do sleep 0.02; done'
    (tmp_path / "cp").write_text(f'#!/bin/sh\n/bin/cp "$@"\n{slow}\n')
    (tmp_path / "cp").chmod(0o755)
    stop = threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        number = 0
        try:
            while not stop.is_set():
                number += 1
                append(lake, [document(f"busy-{number}", DAYS[number % 4], issues=5)])
                (tmp_path / "next").write_text(str(number))
                (tmp_path / "next").replace(tmp_path / "stored")
                if number % 5 == 0:
                    lake.compact_day(DAYS[number % 4])  # which removes nothing within its grace period
        except BaseException as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    places = {"LAKE": lake.url, "BACKUP": str(tmp_path / "b"), "HOME": str(tmp_path)}
    try:
        for _ in range(3):
            shell(BACKUP, **places)
    finally:
        stop.set()
        writer.join()
    assert not failed
    copied = read(open_storage(places["BACKUP"]).backend)  # it asserts that no run is torn or counts twice
    assert before.items() <= copied.items()
    assert len(copied) > len(before), "nobody wrote meanwhile"
    assert copied.items() <= read(lake).items()


def test_the_other_order_would_not_do(tmp_path: Path) -> None:
    """Why the page says what comes first."""
    lake = open_storage(str(tmp_path / "lake")).backend
    append(lake, [document("early")])
    backup = tmp_path / "b"
    shutil.copytree(f"{lake.url}/issues", backup / "issues")
    append(lake, [document("between")])
    shutil.copytree(f"{lake.url}/runs", backup / "runs")
    with pytest.raises(StorageError, match="Could not read"):
        read(open_storage(str(backup)).backend)


def test_migrate_is_the_backup_of_a_database(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        f"storage_backend: sqlite\nstorage_config: {{sqlite: {{database_path: {tmp_path}/i.db}}}}\n"
    )
    database = named(str(config)).open().backend
    fill(database)
    cli = Cli(tmp_path)
    cli.run("migrate", "--from", "config.yaml", "--to", "backup")
    wanted = everything(database)
    for part in tmp_path.glob("i.db*"):
        part.unlink()
    cli.run("migrate", "--from", "backup", "--to", "config.yaml")
    restored = everything(named(str(config)).open().backend)
    # The page says so: decisions are for a copy.
    assert restored | {"decisions": 0} == wanted | {"decisions": 0}
