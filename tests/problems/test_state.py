"""What is kept of problems: whatever happens to the runs, it never makes an answer another one."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.problems import state, update
from assets.problems.update import bring_up_to_date
from resources.backend import BOTH, ISSUES, Backend
from resources.config import open_storage
from resources.lake.parquet import decode
from tests.problems.histories import FIRST, Issue, Run, expected, lifecycle, store
from tests.problems.test_lifecycle import RUNS

EVAL, SHELL = Issue("eval is used"), Issue("a shell is started")
NOW = timedelta(0)


@pytest.fixture
def lake(tmp_path: Path) -> Backend:
    return open_storage(str(tmp_path / "lake")).backend


def kept(lake: Backend) -> set[str]:
    return {entry.path for entry in lake.files.find(state.FOLDER)}


def content(lake: Backend, path: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = decode(lake.files.read(path), key=None).to_pylist()
    return rows


def daily(days: int, *issues: Issue, every: int = 24) -> list[Run]:
    return [Run(f"run-{day:03}", day * every, issues) for day in range(days)]


def test_one_more_day_looks_at_that_day_alone(lake: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    store(lake, daily(20, EVAL))
    bring_up_to_date(lake)
    assert bring_up_to_date(lake).days == ()
    store(lake, [Run("more", 20 * 24, ())])
    read = []
    reading = lake.reading

    def watched(work: Any, first: Any = None, last: Any = None, tables: Any = BOTH, *rest: Any) -> Any:
        if ISSUES in tables:  # the runs alone are looked at for what the days hold
            read.append((first, last))
        return reading(work, first, last, tables, *rest)

    monkeypatch.setattr(lake, "reading", watched)
    day = (FIRST + timedelta(days=20)).date()
    assert bring_up_to_date(lake).days == (day,)
    assert read == [(day, day)]


def test_a_change_of_an_old_day_is_carried_on_from_that_day(lake: Backend) -> None:
    runs = daily(10, EVAL)
    store(lake, runs)
    bring_up_to_date(lake)
    before = kept(lake)
    runs.insert(9, Run("late", 8 * 24 + 1, (SHELL,)))
    store(lake, [runs[9]])
    assert bring_up_to_date(lake, grace=0).days[0] <= runs[9].moment.date()
    assert lifecycle(lake) == expected(runs)
    assert kept(lake) != before


def test_compaction_changes_nothing_that_is_kept(lake: Backend) -> None:
    for run in [*daily(5, EVAL), Run("second", 1, (SHELL,))]:
        store(lake, [run])
    bring_up_to_date(lake)
    before = kept(lake)
    lake.maintain(NOW)
    assert bring_up_to_date(lake, grace=0).days == ()
    assert kept(lake) == before


def test_past_figures_stay_when_new_runs_come(lake: Backend) -> None:
    store(lake, daily(6, EVAL))
    until = FIRST + timedelta(days=3)
    bring_up_to_date(lake)
    before = lifecycle(lake, until)
    store(lake, [Run("fixes", 24 * 9, (replace(EVAL, severity="low", path="x.py"),))])
    bring_up_to_date(lake)
    assert lifecycle(lake, until) == before == expected(daily(4, EVAL))


def test_little_is_kept_and_months_are_put_together(lake: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update, "SPAN_ISSUES", 1)
    runs: list[Run] = []
    for day in range(0, 100, 3):
        fresh = Run(f"run-{day:03}", day * 24, (EVAL,) if day % 2 else (SHELL,))
        runs.append(fresh)
        store(lake, [fresh])
        bring_up_to_date(lake, grace=0)
    assert lifecycle(lake) == expected(runs)
    closed = [path for path in kept(lake) if "/closed-" in path]
    opened = [path for path in kept(lake) if "/open-" in path]
    assert len(closed) <= 2 + 11 + 3
    assert len(opened) <= 3 + update.NEWEST_KEPT


def test_files_that_are_not_needed_stay_for_their_grace(lake: Backend) -> None:
    store(lake, daily(3, EVAL))
    bring_up_to_date(lake)
    before = kept(lake)
    store(lake, [Run("again", 1, (SHELL,))])
    bring_up_to_date(lake)
    assert kept(lake) > before
    bring_up_to_date(lake, grace=0)
    assert not kept(lake) & before


def test_a_file_that_is_missing_is_done_without(lake: Backend) -> None:
    runs = [*daily(4, EVAL), Run("fixes", 200, ())]
    store(lake, runs)
    bring_up_to_date(lake)
    for path in sorted(kept(lake)):
        lake.files.remove(path)
        assert lifecycle(lake) == expected(runs), path
        assert bring_up_to_date(lake).base.day == runs[-1].moment.date(), path
        assert lifecycle(lake) == expected(runs), path


def test_a_day_that_comes_while_others_are_worked_out_is_not_passed_over(
    lake: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, between, late = Run("a", 0, (EVAL,)), Run("b", 24, (SHELL,)), Run("c", 48, (EVAL,))
    several = [replace(late, run_id=f"d{n}", hours=24 * (n + 3)) for n in range(3)]
    store(lake, [early, between, late, *several])
    listed = update.versions_of_all
    monkeypatch.setattr(
        update, "versions_of_all", lambda *a: [v for v in listed(*a) if v.day != between.moment.date()]
    )
    bring_up_to_date(lake)
    monkeypatch.undo()
    assert lifecycle(lake) == expected([early, between, late, *several])
    lake.delete(["b"])
    assert lifecycle(lake) == expected([early, late, *several])


def test_runs_on_sqlite_are_followed_too(tmp_path: Path) -> None:
    configuration = tmp_path / "config.yaml"
    configuration.write_text(
        f"storage_backend: sqlite\nstorage_config:\n  sqlite:\n    database_path: {tmp_path}/issues.db\n"
    )
    database = open_storage(config=configuration).backend
    runs = [*daily(4, EVAL, SHELL), Run("last", 200, (EVAL,))]
    store(database, runs[:3])
    bring_up_to_date(database)
    store(database, runs[3:])
    assert lifecycle(database) == expected(runs)
    bring_up_to_date(database)
    assert lifecycle(database) == expected(runs)
    database.delete(["last"])
    assert lifecycle(database) == expected(runs[:-1])


@dataclass(frozen=True)
class Deleted:
    run_ids: tuple[str, ...]


STEPS = st.lists(
    st.one_of(
        st.lists(RUNS, min_size=1, max_size=3, unique_by=lambda run: run.run_id),
        st.lists(RUNS, min_size=1, max_size=3, unique_by=lambda run: run.run_id),
        st.builds(Deleted, st.lists(RUNS.map(lambda run: run.run_id), max_size=2).map(tuple)),
        st.sampled_from(["update", "update", "compact"]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=20, deadline=None)
@given(STEPS)
def test_step_by_step_is_a_rebuild_is_what_is_expected(steps: list[Any]) -> None:
    """Out of order, replaced, deleted, compacted: kept or not, the answer is the same."""
    with tempfile.TemporaryDirectory() as folder:
        lake = open_storage(folder).backend
        there: dict[str, Run] = {}
        for step in [*steps, "update"]:
            if step == "update":
                bring_up_to_date(lake, grace=0)
            elif step == "compact":
                lake.maintain(NOW)
            elif isinstance(step, Deleted):
                lake.delete(step.run_ids)
                there = {run_id: run for run_id, run in there.items() if run_id not in step.run_ids}
            else:
                store(lake, step)
                for run in sorted(step, key=lambda run: run.run_id):
                    if there.get(run.run_id) != run:  # one that is there already was stored before
                        there.pop(run.run_id, None)
                        there[run.run_id] = run
            wanted = expected(list(there.values()))
            assert lifecycle(lake) == wanted
        for until in [run.moment for run in there.values()][:3]:
            past = [run for run in there.values() if run.moment <= until]
            assert lifecycle(lake, until) == expected(past)
        before = {path: content(lake, path) for path in kept(lake)}
        for path in before:
            lake.files.remove(path)
        assert lifecycle(lake) == wanted
        bring_up_to_date(lake)
        for path in before.keys() & kept(lake):
            assert content(lake, path) == before[path], "a name stands for one content"
