"""`issuelake migrate`, and how it names storages."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from resources.errors import ConfigError
from resources.place import named
from tests.lake.state import append, document
from tests.test_cli import ENVIRONMENT, Cli

CONFIG = """
storage_config:
  postgresql: {username: u, password: "${NOT_SET}"}
  sqlite: {database_path: "FOLDER/issues.db"}
  database_factory:
    factory_config: {primary_database: sqlite, fallback_databases: [mysql]}
    databases: {sqlite: {database_path: "FOLDER/factory.db"}, mysql: {username: u, database: d}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG.replace("FOLDER", str(tmp_path)))
    return path


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def fill(folder: Path) -> None:
    append(named(str(folder)).open().backend, [document("a"), document("b", issues=3)])


@pytest.mark.usefixtures("config")
def test_copying_moving_and_comparing(cli: Cli) -> None:
    fill(cli.folder / "lake")
    ways = ["migrate", "--from", "lake", "--to", "c.yaml#sqlite"]
    would = cli.json(*ways, "--dry-run")
    assert (would["dry_run"], would["runs_copied"], would["issues_copied"]) == (True, 2, 5)
    done = cli.json(*ways)
    assert (done["runs"], done["issues"], done["runs_copied"], done["days_skipped"]) == (2, 5, 2, 0)
    assert (done["from"], done["to"]) == (str(cli.folder / "lake"), f"sqlite:///{cli.folder}/issues.db")
    again = cli.run(*ways, "--move", "--by", "the mover").stdout.decode()
    assert "0 runs with 0 issues copied and compared; 1 of 1 days were there" in again
    assert "2 runs with 5 issues deleted where they came from" in again
    assert cli.json("summary", "--storage", "lake")["issue_summary"]["total_issues"] == 0
    [deletion] = cli.json("deletions", "--storage", "lake")["deletions"]
    assert deletion["actor"] == "the mover"
    assert deletion["query"] == {"moved_to": done["to"]}


def test_on_a_terminal_it_shows_how_far_it_is(cli: Cli) -> None:
    fill(cli.folder / "lake")
    words = ["-c", "from pipelines.cli import main; main()", "migrate", "--from", "lake", "--to", "other"]
    master, slave = pty.openpty()
    environment = ENVIRONMENT | {"TERM": "xterm-256color", "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, *words], cwd=cli.folder, env=environment, stdout=slave, stderr=slave
    )
    os.close(slave)
    shown = b""
    with suppress(OSError):  # as a terminal says that nobody is there any more
        while data := os.read(master, 4096):
            shown += data
    os.close(master)
    assert process.wait(10) == 0
    assert b"5/5 issues" in shown
    assert b"2 runs with 5 issues copied and compared" in shown


def test_from_one_database_of_a_factory_to_another(cli: Cli, config: Path) -> None:
    append(named(f"{config}#database_factory.sqlite").open().backend, [document("a")])
    done = cli.json("migrate", "--from", "c.yaml#database_factory.sqlite", "--to", "c.yaml#sqlite")
    assert done["runs_copied"] == 1
    assert done["from"].endswith("factory.db")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--from", "nowhere", "--to", "lake"], "There is nothing in"),
        (["--from", "lake", "--to", "lake"], "are the same storage"),
        (["--from", "lake", "--to", "./lake/", "--move"], "are the same storage"),
        (["--from", "c.yaml#sqlite", "--to", "c.yaml#mongodb"], "has no backend 'mongodb'"),
        (["--from", "c.yaml#database_factory.mongodb", "--to", "lake"], "of the databases of a factory it"),
        (["--from", "c.yaml#postgresql", "--to", "lake"], "NOT_SET, which is not set"),
        (["--from", "missing.yaml", "--to", "lake"], "Could not read the configuration"),
        (["--from", "lake", "--to", "other", "--move", "--dry-run"], "exclude each other"),
    ],
)
@pytest.mark.usefixtures("config")
def test_what_cannot_be_done(cli: Cli, words: list[str], told: str) -> None:
    fill(cli.folder / "lake")
    failed = cli.run("migrate", *words, code=2)
    assert told in failed.stderr.decode()
    assert cli.json("summary", "--storage", "lake")["issue_summary"]["total_issues"] == 3


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    for name in ("a#b", "c.yaml#sqlite", "plain", "x.json"):
        (tmp_path / name).mkdir()
        assert named(str(tmp_path / name)).open().backend.url == str(tmp_path / name)


def test_json_is_a_configuration_or_an_old_history(tmp_path: Path) -> None:
    keys = {"storage_config": {"sqlite": {"database_path": "x.db"}}}
    (tmp_path / "c.json").write_text(json.dumps(keys))
    assert named(f"{tmp_path}/c.json").name == named(f"{tmp_path}/c.json#sqlite").name == "sqlite"
    (tmp_path / "h.json").write_text('{"validation_history": [], "current_issues": {}}')
    assert named(f"{tmp_path}/h.json").name == "local_file"
    with pytest.raises(ConfigError, match="Could not read"):
        named(f"{tmp_path}/missing.json")
