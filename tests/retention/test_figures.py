"""Whatever is retired, and whenever: problems, trends and daily summaries are those of all runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets import sql_access
from assets.deletion import delete
from assets.migration import migrate
from assets.problems.update import bring_up_to_date
from assets.query import Query
from assets.retention import pins
from assets.retention.choosing import Leaving
from assets.retention.retire import retire
from assets.summary import outdated, summarise
from assets.trends.model import Asked
from resources.backend import RUNS, Backend
from resources.backends.sql.settings import Sqlite
from resources.config import Storage, open_storage
from tests.problems.histories import FIRST, Issue, Run, expected, lifecycle, store
from tests.problems.test_lifecycle import RUNS as PLAIN
from tests.problems.test_state import Deleted
from tests.trends.test_figures import BATCH, check

EVAL, SHELL = Issue("eval is used", rule="B307"), Issue("a shell is started", "security", "lib/b.py")
NOW = timedelta(0)
IDS = st.lists(PLAIN.map(lambda run: run.run_id), min_size=1, max_size=5, unique=True)


def let_go(backend: Backend, run_ids: Iterable[str] | None = None) -> list[str]:
    """Retire those of `run_ids` (all: None) that are stored; which these are."""
    rows = backend.reading(
        lambda c: c.execute(
            'SELECT validation_run_id, target_plugin, "timestamp",'
            " critical_issues + high_issues + medium_issues + low_issues FROM runs"
        ).fetchall(),
        tables=(RUNS,),
    )
    wanted = None if run_ids is None else set(run_ids)
    leaving = [Leaving(*row, "a rule") for row in rows if wanted is None or row[0] in wanted]
    retire(backend, leaving)
    return [run.validation_run_id for run in leaving]


def stored(backend: Backend) -> set[str]:
    rows = backend.reading(
        lambda c: c.execute("SELECT validation_run_id FROM runs").fetchall(), tables=(RUNS,)
    )
    return {run_id for (run_id,) in rows}


@dataclass(frozen=True)
class Retired:
    run_ids: tuple[str, ...]


STEPS = st.lists(
    st.one_of(
        BATCH,
        BATCH,
        st.builds(Retired, IDS.map(tuple)),
        st.builds(Retired, IDS.map(tuple)),
        st.builds(Deleted, IDS.map(tuple)),
        st.sampled_from(["update", "compact"]),
    ),
    min_size=2,
    max_size=6,
)


def followed(backend: Backend, steps: list[Any]) -> None:
    there: dict[str, Run] = {}
    retired: set[str] = set()
    for step in steps:
        if step == "update":
            bring_up_to_date(backend, grace=0)
        elif step == "compact":
            backend.maintain(NOW)
        elif isinstance(step, Retired):
            retired |= set(let_go(backend, step.run_ids))
        elif isinstance(step, Deleted):
            backend.delete(step.run_ids)
            there = {run_id: run for run_id, run in there.items() if run_id not in step.run_ids}
        else:
            store(backend, step)
            for run in sorted(step, key=lambda run: run.run_id):
                # What is retired and delivered again is stored anew, after all others.
                if there.get(run.run_id) != run or run.run_id in retired:
                    there.pop(run.run_id, None)
                    there[run.run_id] = run
            retired -= {run.run_id for run in step}
        assert stored(backend) == there.keys() - retired
        runs = list(there.values())
        assert lifecycle(backend) == expected(runs)
    check(backend, runs, Asked())
    bring_up_to_date(backend)
    check(backend, runs, Asked(first=(FIRST + timedelta(days=20)).date()))


@settings(max_examples=6, deadline=None)
@given(STEPS)
def test_any_history_of_a_lake(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        followed(open_storage(folder).backend, steps)


@settings(max_examples=3, deadline=None)
@given(STEPS)
def test_any_history_of_a_database(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder, "config.yaml")
        configuration.write_text(f"storage_config:\n  sqlite: {{database_path: {folder}/issues.db}}\n")
        followed(open_storage(config=configuration).backend, steps)


@pytest.fixture
def lake(tmp_path: Path) -> Backend:
    return open_storage(str(tmp_path / "lake")).backend


RUNS_OF_TEN_DAYS = [
    Run(f"run-{n}", 24 * n, (EVAL,) * (n % 3 != 0) + (SHELL,) * (n % 4 == 1), score=n) for n in range(10)
]


def summaries(lake: Backend) -> list[dict[str, Any]]:
    return sql_access.select(lake, "FROM daily_summary ORDER BY ALL").to_pylist()


def test_daily_summaries_are_neither_outdated_nor_other_ones(lake: Backend) -> None:
    store(lake, RUNS_OF_TEN_DAYS)
    before = summaries(lake)
    kept = {day: summarise(lake, day) for day in lake.days()}
    bring_up_to_date(lake)
    let_go(lake, [f"run-{n}" for n in range(8)])
    lake.maintain(NOW)
    assert outdated(lake) == []
    assert summaries(lake) == before
    assert bring_up_to_date(lake).days == ()
    for day, summary in kept.items():
        again = summarise(lake, day)
        assert (again.path, again.table.to_pylist()) == (summary.path, summary.table.to_pylist())


def test_the_views_of_sql_have_them_and_the_tables_do_not(lake: Backend) -> None:
    store(lake, RUNS_OF_TEN_DAYS)

    def asked(table: str) -> Any:
        return sql_access.select(lake, f"SELECT count(*), sum(runs_seen) FROM {table}").to_pylist()

    before = asked("problems")
    let_go(lake, [f"run-{n}" for n in range(8)])
    assert asked("problems") == before
    assert sql_access.select(lake, "SELECT count(*) AS n FROM runs").to_pylist() == [{"n": 2}]


def test_a_deletion_takes_what_stayed_too(lake: Backend) -> None:
    store(lake, RUNS_OF_TEN_DAYS)
    let_go(lake, [f"run-{n}" for n in range(5)])
    answer = delete(Storage("local_file", lake), Query(run_id="run-1"), "ann")
    assert (answer["issues_data"]["runs_deleted"], answer["issues_data"]["issues_deleted"]) == (1, 2)
    left = [run for run in RUNS_OF_TEN_DAYS if run.run_id != "run-1"]
    assert lifecycle(lake) == expected(left)


def test_a_run_of_another_day_in_the_place_of_one_that_is_retired(lake: Backend) -> None:
    """Delivered again with another moment: the outline on the old day counts nowhere any more."""
    store(lake, RUNS_OF_TEN_DAYS)
    let_go(lake, ["run-2", "run-3"])
    moved = replace(RUNS_OF_TEN_DAYS[2], hours=24 * 30)
    store(lake, [moved])
    runs = [run for run in RUNS_OF_TEN_DAYS if run.run_id != "run-2"] + [moved]
    assert lifecycle(lake) == expected(runs)
    day = RUNS_OF_TEN_DAYS[2].moment.date()
    check(lake, runs, Asked(day, day))
    assert summarise(lake, day).table.num_rows == 0


def test_a_migration_takes_along_what_stayed_and_what_is_pinned(lake: Backend, tmp_path: Path) -> None:
    store(lake, RUNS_OF_TEN_DAYS)
    let_go(lake, [f"run-{n}" for n in range(6)])
    pins.pin(lake, ["run-7"], "it matters", "ann")
    target = Sqlite(database_path=str(tmp_path / "issues.db")).open()
    for _ in range(2):
        migrate(lake, target, "a tester")
        assert lifecycle(target) == expected(RUNS_OF_TEN_DAYS)
        assert stored(target) == {f"run-{n}" for n in range(6, 10)}
        assert list(pins.pinned(target.files)) == ["run-7"]


def test_what_goes_is_written_down(lake: Backend) -> None:
    store(lake, RUNS_OF_TEN_DAYS)
    let_go(lake, ["run-1", "run-5"])
    [deletion] = lake.deletions()
    assert (deletion.actor, deletion.query) == ("retention", {"a rule": 2})
    assert (deletion.runs_deleted, deletion.issues_deleted) == (2, 4)
    assert lake.deleted_runs(deletion.audit_id).keys() == {"run-1", "run-5"}


@pytest.mark.parametrize("after", range(4))
def test_what_is_interrupted_is_done_again(
    lake: Backend, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before any of the files that a round writes: outlines of issues, of runs, and the mark."""
    store(lake, RUNS_OF_TEN_DAYS)
    publish = lake.files.publish
    written: list[str] = []

    def until(path: str, *rest: Any) -> None:
        if len(written) == after:
            raise KeyboardInterrupt
        publish(path, *rest)
        written.append(path)

    monkeypatch.setattr(lake.files, "publish", until)
    if after < 3:
        with pytest.raises(KeyboardInterrupt):
            let_go(lake, ["run-1", "run-2"])
    else:
        let_go(lake, ["run-1", "run-2"])
    monkeypatch.undo()
    assert lifecycle(lake) == expected(RUNS_OF_TEN_DAYS)
    gone = {"run-1", "run-2"} if after == 3 else set()
    assert stored(lake) == {run.run_id for run in RUNS_OF_TEN_DAYS} - gone
    lake.delete(["run-2"])  # by somebody, in between
    let_go(lake, ["run-1"])
    assert lifecycle(lake) == expected([run for run in RUNS_OF_TEN_DAYS if run.run_id != "run-2"])
    assert stored(lake) == {run.run_id for run in RUNS_OF_TEN_DAYS} - {"run-1", "run-2"}
