"""PlugPipe plugins as storages: everything that `store_issues` and `get_issues` allow, and no more."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from resources.backend import Backend
from resources.backends.custom import CustomBackend, HealthCheck
from resources.contract import Rejection
from resources.errors import StorageError, UsageError
from tests.backends.contract import HOSTILE_IDS, BackendContract, rows
from tests.backends.plugins import rows as rows_plugin
from tests.backends.plugins import whole as whole_plugin
from tests.lake.state import DAYS, append, check, document, stored

PLUGIN = Path(__file__).parents[2] / "plugs" / "governance" / "issue_tracker" / "2.0.0"


class PlugPipeContract(BackendContract):
    plugin_name: str
    health_operation = "get_health_status"

    # It deletes nothing …
    test_a_deletion_hides_at_once = None
    test_deleted_then_stored_again = None
    test_a_deletion_by_query = None
    test_every_run_can_be_deleted = None
    test_deleted_by_a_clock_that_is_behind = None
    test_a_copy_of_what_was_deleted_stays_deleted = None
    test_a_deletion_is_recorded_as_it_was = None
    test_what_a_deletion_took_is_known = None
    test_what_went_away_may_come_back = None
    test_what_is_retired_is_counted_as_before = None
    # … which makes these impossible as they are written, but not what they are about …
    test_hostile_ids = None
    test_only_the_tables_that_are_asked_for = None
    test_a_pushdown_leaves_out_nothing_that_fulfils_it = None
    test_the_views_of_everything = None
    test_sql_behind_the_fence = None
    test_what_is_stored_is_told = None
    test_compaction_changes_no_row = None
    # … and keeps no files.
    test_daily_summaries = None
    test_rejected_deliveries = None
    test_what_was_refused_is_kept_with_what_was_stored = None

    @pytest.fixture
    def place(self, tmp_path: Path) -> dict[str, Any]:
        return {"path": str(tmp_path / "kept.json")}

    def another(self, place: dict[str, Any]) -> Backend:
        asked = HealthCheck(operation=self.health_operation)
        return CustomBackend(plugin_name=self.plugin_name, config=place, health_check=asked).open()

    def test_every_id_comes_back(self, backend: Backend) -> None:
        append(backend, [document(i) for i in HOSTILE_IDS])
        check(backend, {i: stored(i) for i in HOSTILE_IDS})

    def test_it_says_what_it_cannot_do(self, backend: Backend) -> None:
        append(backend, [document("a")])
        with pytest.raises(UsageError, match="cannot delete runs: issuelake knows its store_issues"):
            backend.delete(["a"])
        with pytest.raises(StorageError, match="no place to keep what is refused: mend it"):
            backend.reject([Rejection("run.json", b"{", "$", "not JSON")])
        with pytest.raises(StorageError, match="keeps runs only and has no place for a/b"):
            backend.files.publish("a/b", b"")
        assert backend.rejected() == backend.deletions() == []
        check(backend, {"a": stored("a")})

    def test_what_the_run_itself_has_in_our_place_stays(self, backend: Backend) -> None:
        issue = {"severity": "low", "description": "", "details": {"issuelake": [1]}, "issuelake": 2}
        run = document("r") | {"issuelake": {"a": 1}, "metadata": {"issuelake": 3}, "issues_list": [issue]}
        append(backend, [run])
        [kept] = backend.reading(lambda c: rows(c, "SELECT extra, metadata FROM runs"))
        assert kept == {"extra": '{"issuelake":{"a":1}}', "metadata": '{"issuelake":3}'}
        [kept] = backend.reading(lambda c: rows(c, "SELECT extra, details FROM issues"))
        assert kept == {"extra": '{"issuelake":2}', "details": '{"issuelake":[1]}'}
        assert append(backend, [run]).duplicates == 1


class TestRows(PlugPipeContract):
    """Gives issues back, and knows nothing of runs without any."""

    plugin_name = "tests.backends.plugins.rows"
    health_operation = "ping"

    # There are runs without issues in them.
    test_the_latest_content_wins = None
    test_several_days_in_a_batch = None
    # Its pages are slow to make.
    test_a_large_run = None

    def test_a_run_of_several_pages(self, backend: Backend) -> None:
        append(backend, [document("large", issues=2_500)])
        check(backend, {"large": stored("large", issues=2_500)})

    def test_the_latest_content_with_issues_wins(self, backend: Backend, place: Any) -> None:
        for version in range(1, 4):
            append(backend, [document("a", DAYS[version], version, issues=version)])
            check(self.another(place), {"a": stored("a", DAYS[version], version, issues=version)})

    def test_a_clean_run_is_a_run(self, backend: Backend) -> None:
        with pytest.raises(StorageError, match="took the run 'clean' without issues and does not give it"):
            append(backend, [document("clean", issues=0)])

    def test_what_others_have_stored_is_read(self, backend: Backend, place: Any) -> None:
        run = document("theirs", DAYS[2], version=7, issues=5)
        asyncio.run(rows_plugin.process({"operation": "store_issues", "issues": run}, place))
        kept = backend.reading(lambda c: rows(c, "SELECT * FROM runs"))
        assert [(r["validation_run_id"], r["critical_issues"], r["pipeline_score"]) for r in kept] == [
            ("theirs", 2, None)  # an issue does not tell its run's score
        ]
        seen = backend.reading(lambda c: rows(c, "SELECT fingerprint, extra FROM issues"))
        assert len({issue["fingerprint"] for issue in seen}) == 5
        assert {issue["extra"] for issue in seen} == {None}

    def test_half_a_run_is_never_shown(self, backend: Backend, place: Any) -> None:
        append(backend, [document("a", issues=3)])
        kept = json.loads(Path(place["path"]).read_text())
        del kept["a"]["issues_list"][1]
        Path(place["path"]).write_text(json.dumps(kept))
        with pytest.raises(StorageError, match="gives back 2 issues of the run 'a', and not all"):
            backend.days()


class TestWhole(PlugPipeContract):
    """Gives whole runs back, every copy that it was ever given."""

    plugin_name = "tests.backends.plugins.whole:process"

    def test_what_others_have_stored_is_the_same_run(self, backend: Backend, place: Any) -> None:
        run = document("theirs", DAYS[2], version=7, issues=5)
        whole_plugin.process({"operation": "store_issues", "issues": run}, place)
        check(backend, {"theirs": stored("theirs", DAYS[2], version=7, issues=5)})
        assert append(backend, [run]).duplicates == 1  # its content hash is the one of every storage

    def test_what_others_have_broken_is_named(self, backend: Backend, place: Any) -> None:
        run = document("theirs") | {"issues_list": [{"severity": "dire", "description": ""}]}
        whole_plugin.process({"operation": "store_issues", "issues": run}, place)
        with pytest.raises(StorageError, match=r"The run 'theirs' in .*severity: 'dire' is not one of"):
            backend.days()


class TestIssueTracker(PlugPipeContract):
    """This project's own plugin, which has a history, so that clean runs come back too."""

    plugin_name = str(PLUGIN)

    @pytest.fixture
    def place(self, tmp_path: Path) -> dict[str, Any]:
        return {
            "storage_backend": "local_file",
            "storage_config": {"local_file": {"storage_path": str(tmp_path / "lake")}},
        }


def opened(plugin: str, **keys: Any) -> Backend:
    return CustomBackend(plugin_name=f"tests.backends.plugins.{plugin}", **keys).open()


def test_its_own_operation_says_whether_it_is_well(tmp_path: Path) -> None:
    config = {"path": str(tmp_path / "kept.json")}
    assert opened("rows", config=config, health_check=HealthCheck(operation="ping")).check().healthy
    checked = opened("rows", config=config | {"token": "hunter2-4711"}).check()
    assert not checked.healthy
    assert "unknown operation get_health_status (token ***)" in (checked.error or "")
    checked = opened("whole", config=config | {"ill": True}).check()
    assert "says that its storage is not healthy" in (checked.error or "")


@pytest.mark.parametrize("kind", ["sleeps", "sleeps_in_a_coroutine"])
def test_what_hangs_is_given_up_on(kind: str) -> None:
    backend = opened(f"broken:{kind}", timeout_seconds=0.2)
    started = time.perf_counter()
    with pytest.raises(StorageError, match=r"failed at get_issues: there is no answer within 0\.2 s"):
        backend.days()
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("raises", r"failed at get_issues: KeyError: '\*\*\*'"),
        ("answers_text", "the answer is not a mapping but of the type str"),
        ("says_nothing", "it does not say why"),
        ("has_no_list", "answers get_issues without a list under issues_data.issues"),
        ("does_not_page", "with the same page whatever query.offset is"),
        ("names_no_run", r"what is no issue that names its run \(validation_run_id\)"),
    ],
)
def test_what_a_plugin_does_wrong_is_told(kind: str, told: str) -> None:
    with pytest.raises(StorageError, match=told):
        opened(f"broken:{kind}", config={"api_key": "key hunter2"}).days()


def test_a_plugin_can_be_called_from_a_running_loop(tmp_path: Path) -> None:
    async def work() -> list[Any]:
        return opened("rows", config={"path": str(tmp_path / "kept.json")}).days()

    assert asyncio.run(work()) == []
    assert "tests.backends.plugins.rows" in sys.modules
