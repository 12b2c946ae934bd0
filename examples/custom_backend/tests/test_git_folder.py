"""The folder keeps every promise of `tests.backends.contract`, and some of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from issuelake_git_folder import GitFolder

from resources.backend import Backend
from resources.errors import ConfigError, StorageError
from tests.backends.contract import BackendContract
from tests.lake.state import append, check, document, stored


class TestGitFolder(BackendContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        return tmp_path / "issues"

    def another(self, place: Path) -> Backend:
        return GitFolder(str(place))

    def test_a_run_is_a_readable_file_that_stays_the_same(self, place: Path) -> None:
        backend = GitFolder(str(place))
        append(backend, [document("build-4711")])
        [path] = (place / "runs").iterdir()
        before = path.read_bytes()
        assert path.name.startswith("build-4711.")
        assert b'\n  "issues_list": [\n' in before
        append(backend, [document("build-4711")])
        assert path.read_bytes() == before

    def test_what_people_put_there_is_read(self, place: Path) -> None:
        (place / "runs").mkdir(parents=True)
        (place / "runs" / "by-hand.json").write_text(json.dumps(document("by-hand")))
        check(GitFolder(str(place)), {"by-hand": stored("by-hand")})

    def test_what_people_break_is_named(self, place: Path) -> None:
        backend = GitFolder(str(place))
        append(backend, [document("a")])
        [path] = (place / "runs").iterdir()
        path.write_text(path.read_text().replace('"critical"', '"dire"'))
        with pytest.raises(StorageError, match=r"The run 'a' .*\$\.issues_list\[0\]\.severity: 'dire'"):
            backend.days()

    def test_the_indent_is_checked(self, place: Path) -> None:
        with pytest.raises(ConfigError, match="indent must be from 0 to 8"):
            GitFolder(str(place), indent=9)
