"""The command line over every database: the same answers as over a lake, by a configuration file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import Mongo, Sql
from tests.test_cli import EXAMPLES, Cli

DATABASES = ("sqlite", "postgresql", "mysql", "mongodb")


class Configured(Cli):
    """`issuelake` with a configuration file, and with what its `${NAME}`s stand for."""

    def __init__(self, folder: Path, name: str, environment: dict[str, str]) -> None:
        super().__init__(folder)
        config = yaml.safe_load((EXAMPLES / "configs" / f"{name}.yaml").read_text("utf-8"))
        keys = config["storage_config"][name]
        keys["collection" if name == "mongodb" else "table_name"] = "by_command"
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        self.environment = {"ISSUELAKE_CONFIG": "config.yaml", **environment}

    def run(self, *words: str, **options: Any) -> Any:
        return super().run(*words, **options, **self.environment)


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Configured:
    name: str = request.param
    environment = {}
    if name == "mongodb":
        mongo: Mongo = request.getfixturevalue("mongo_server")
        environment["MONGODB_URL"] = mongo.url
    elif name != "sqlite":
        server: Sql = request.getfixturevalue(f"{name}_server")
        prefix = "POSTGRES" if name == "postgresql" else "MYSQL"
        values = {
            "HOST": "localhost",
            "PORT": str(server.port),
            "USER": server.username,
            "PASSWORD": server.password,
            "CA": server.ca,
        }
        environment |= {f"{prefix}_{key}": value for key, value in values.items()}
    folder = tmp_path / name
    folder.mkdir()
    return Configured(folder, name, environment)


QUESTIONS = [
    ["latest", "--plugin", "flask"],
    ["issues", "--limit", "7", "--offset", "3"],
    ["search", "the", "--severity", "high", "--plugin", "flask", "--limit", "5"],
    ["summary", "--plugin", "click"],
    ["history", "--plugin", "click"],
    [
        "sql",
        "SELECT severity, count(*) AS n FROM issues WHERE target_plugin = 'flask' GROUP BY ALL ORDER BY ALL",
    ],
    ["sql", "SELECT * FROM daily_summary ORDER BY ALL LIMIT 3"],
]


def test_a_database_and_a_lake_do_the_same(database: Configured, tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    lake = Cli(tmp_path / "lake")
    both: tuple[Cli, Cli] = (database, lake)

    def same(*words: str) -> Any:
        ours, theirs = (_comparable(one.json(*words)) for one in both)
        assert ours == theirs, words
        return ours

    runs, broken = str(EXAMPLES / "runs"), str(EXAMPLES / "broken" / "severity-misspelt.json")
    for one in both:
        stored = one.json("ingest", runs)
        assert (stored["runs_stored"], stored["runs_rejected"]) == (78, 0)
        again = one.json("ingest", runs)
        assert (again["runs_stored"], again["duplicates"]) == (0, 78)
    for question in QUESTIONS:
        same(*question)

    for one in both:
        one.run("export", "--format", "csv", "--to", "issues.csv", "--plugin", "flask")
    ours, theirs = ((one.folder / "issues.csv").read_bytes() for one in both)
    assert ours == theirs
    assert ours.count(b"\n") > 10

    mended = tmp_path / "mended.json"
    mended.write_bytes(Path(broken).read_bytes().replace(b"hgih", b"high"))
    for one in both:
        assert one.json("ingest", broken, "--allow-rejects")["runs_rejected"] == 1
        [kept] = one.json("rejected", "list")["rejected"]
        assert one.run("rejected", "show", kept["rejected_id"]).stdout == Path(broken).read_bytes()
        replayed = one.json("rejected", "replay", kept["rejected_id"], "--mended", str(mended))
        assert replayed["runs_stored"] == 1
        assert one.json("rejected", "list")["count"] == 0
    same("issues", "--limit", "3")

    same("delete", "--plugin", "flask", "--dry-run")
    for one in both:
        gone = one.json("delete", "--plugin", "flask", "--yes", "--by", "a test")["issues_data"]
        assert gone["runs_deleted"] == 13
        [audit] = one.json("deletions")["deletions"]
        assert (audit["actor"], audit["runs_deleted"]) == ("a test", 13)
    assert same("latest", "--plugin", "flask")["issues_data"] is None

    before = same("summary")
    for one in both:
        one.run("compact")
    assert same("summary") == before

    [health] = database.json("health")["health_status"]["backends"]
    assert health["healthy"]
    assert health["name"] == database.folder.name
    secrets = [value for name, value in database.environment.items() if name.endswith("PASSWORD")]
    assert not any(secret in json.dumps(health) for secret in secrets)


def _comparable(answer: Any) -> Any:
    """Without what tells one storage, or one moment, from another."""
    if isinstance(answer, dict):
        own = ("stored_at", "operation_result", "source")
        return {name: _comparable(value) for name, value in answer.items() if name not in own}
    return [_comparable(value) for value in answer] if isinstance(answer, list) else answer
