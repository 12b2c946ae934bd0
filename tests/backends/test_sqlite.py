"""SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from resources.backend import Backend
from resources.backends.sql.settings import Sqlite
from resources.errors import StorageError
from tests.backends.contract import BackendContract
from tests.lake.state import append, check, document, stored


class TestSqlite(BackendContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Sqlite:
        return Sqlite(database_path=str(tmp_path / "a folder" / "issues.db"))

    def another(self, place: Sqlite) -> Backend:
        return place.open()

    def test_an_older_table_is_brought_up_to_date(self, place: Sqlite) -> None:
        append(place.open(), [document("a")])
        with closing(sqlite3.connect(place.database_path)) as connection:
            connection.executescript(
                f"DROP INDEX {place.table_name}_issues_fingerprint;"
                f"ALTER TABLE {place.table_name}_runs DROP COLUMN source;"
                f"UPDATE {place.table_name}_meta SET value = '0' WHERE name = 'schema_version';"
            )
        backend = place.open()
        append(backend, [document("b")])
        check(backend, {i: stored(i) for i in "ab"})

    def test_tables_of_a_newer_program_are_left_alone(self, place: Sqlite) -> None:
        append(place.open(), [document("a")])
        with closing(sqlite3.connect(place.database_path)) as connection:
            connection.executescript(
                f"UPDATE {place.table_name}_meta SET value = '99' WHERE name = 'schema_version'"
            )
        with pytest.raises(StorageError, match="install a newer issuelake"):
            append(place.open(), [document("b")])
