"""A page of the newest issues comes from the database itself, until somebody holds something for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from assets import answers
from assets.query import Query
from resources.backends.sql.database import Database
from resources.config import Opened, configured
from resources.errors import StorageError
from tests.lake.state import append, document


def test_a_page_needs_no_duckdb_until_something_is_owed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Opened(
        configured(
            {
                "storage_config": {
                    "sqlite": {"database_path": str(tmp_path / "issues.db")},
                    "local_file": {"storage_path": str(tmp_path / "lake")},
                }
            }
        )
    )

    def runs(number: int) -> set[str]:
        storage = opened.begin()
        data = answers.issues(storage, Query())["issues_data"]
        assert data["total_count"] == len(data["issues"]) > number
        assert storage.used == "sqlite"
        return {issue["validation_run_id"] for issue in data["issues"]}

    def refuse(*_: object) -> None:
        raise StorageError("refused by the test")

    append(opened.begin().backend, [document("a")])
    with monkeypatch.context() as only:
        only.setattr(Database, "reading", refuse)
        assert runs(0) == {"a"}
    with monkeypatch.context() as failing:
        failing.setattr(Database, "append", refuse)
        append(opened.begin().backend, [document("b")])
    with monkeypatch.context() as only:
        only.setattr(Database, "newest", refuse)
        assert runs(1) == {"a", "b"}
