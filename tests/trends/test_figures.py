"""The figures of trends, against a plain working out, on a lake and on SQLite."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.problems.update import bring_up_to_date
from assets.trends import figures
from assets.trends.model import PERIODS, Asked, Grain, Period, Trends
from resources.backend import Backend
from resources.config import open_storage
from resources.contract import Rejection
from resources.errors import UsageError
from tests.problems.histories import FIRST, Issue, Run, store
from tests.problems.test_lifecycle import ISSUES, RUNS
from tests.problems.test_state import Deleted
from tests.trends import oracle

EVAL, SHELL = Issue("eval is used", rule="B307"), Issue("a shell is started", "security", "lib/b.py")
DAY = FIRST.date()


@pytest.fixture
def lake(tmp_path: Path) -> Backend:
    return open_storage(str(tmp_path / "lake")).backend


def rounded(trends: Trends) -> Trends:
    """Sums of floats depend on the order in which they are added up."""

    def row(period: Period) -> Period:
        given = {name: getattr(period, name) for name in ("average_score", "mean_days_to_fix")}
        given["median_days_to_fix"] = period.median_days_to_fix
        return replace(period, **{n: None if v is None else round(v, 6) for n, v in given.items()})

    plugins = {name: [row(period) for period in rows] for name, rows in trends.plugins.items()}
    return replace(trends, overall=[row(period) for period in trends.overall], plugins=plugins)


def check(backend: Backend, runs: list[Run], asked: Asked, top: int = 5) -> None:
    assert rounded(figures.read(backend, asked, top)) == rounded(oracle.trends(runs, asked, top))


def daily(days: int, *issues: Issue, every: int = 24, **more: Any) -> list[Run]:
    return [Run(f"run-{n:03}", n * every, issues, score=50 + n % 50, **more) for n in range(days)]


def test_what_is_new_fixed_reopened_and_open(lake: Backend) -> None:
    steps = [(EVAL,), (EVAL, SHELL), (SHELL,), (EVAL, SHELL), ()]
    store(lake, [Run(f"run-{n}", 24 * n, issues) for n, issues in enumerate(steps)])
    rows = figures.read(lake, Asked()).overall
    assert [(r.new, r.reopened, r.fixed, r.open) for r in rows] == [
        (1, 0, 0, 1),
        (1, 0, 0, 2),
        (0, 0, 1, 1),
        (0, 1, 0, 2),
        (0, 0, 2, 0),
    ]
    assert [r.mean_days_to_fix for r in rows] == [None, None, 2.0, None, 2.0]
    assert [r.period for r in rows] == [DAY + timedelta(days=n) for n in range(5)]


def test_what_was_there_before_the_first_day_is_open_and_nothing_else(lake: Backend) -> None:
    store(lake, daily(6, EVAL, SHELL))
    [row, *_] = figures.read(lake, Asked(first=DAY + timedelta(days=3))).overall
    assert (row.period, row.new, row.open) == (DAY + timedelta(days=3), 0, 2)


def test_past_figures_stay_when_new_runs_come(lake: Backend) -> None:
    store(lake, daily(40, EVAL, SHELL))
    asked = [Asked(None, DAY + timedelta(days=39), None, grain) for grain in Grain]
    before = [figures.read(lake, each) for each in asked]
    worse = (replace(EVAL, severity="critical"), Issue("another"))
    store(lake, [Run("next", 40 * 24, worse), Run("and-next", 90 * 24, ())])
    for kept in (False, True):
        if kept:
            bring_up_to_date(lake)
        assert [figures.read(lake, each) for each in asked] == before


def test_flapping_is_coming_back_again_and_again(lake: Backend) -> None:
    store(lake, [Run(f"run-{n}", 24 * n, (EVAL,) if n % 2 else (SHELL,)) for n in range(5)])
    [row] = figures.read(lake, Asked()).flapping
    assert (row.description, row.reopened, row.open) == (SHELL.text, 2, True)
    assert figures.read(lake, Asked(first=DAY + timedelta(days=3))).flapping == []


def test_rules_and_files_are_counted_by_problems(lake: Backend) -> None:
    store(lake, daily(4, EVAL, replace(EVAL, path="lib/b.py"), SHELL))
    found = figures.standing(lake, Asked())
    assert [(row.name, row.problems, row.open) for row in found.rules] == [("B307", 2, 2)]
    assert [(row.name, row.problems) for row in found.files] == [("lib/b.py", 2), ("src/a.py", 1)]
    assert len(figures.standing(lake, Asked(), top=1).files) == 1


def test_the_rejected_share_is_of_what_came_in(lake: Backend) -> None:
    store(lake, daily(3, EVAL))
    lake.reject([Rejection("bad.json", b"{", "$", "is not JSON")])
    today = datetime.now(UTC).date()
    rows = {row.period: row for row in figures.read(lake, Asked()).overall}
    assert (rows[today].runs, rows[today].rejected, rows[today].rejected_share) == (0, 1, 0.25)
    assert rows[today].open == rows[DAY].open == 1
    assert (rows[DAY].rejected, rows[DAY].rejected_share) == (0, 0.0)
    assert today not in {row.period for row in figures.read(lake, Asked(last=DAY)).overall}
    [*_, last] = figures.read(lake, Asked(plugin="demo")).overall
    assert (last.period < today, last.rejected, last.rejected_share) == (True, None, None)


def test_nothing_is_there_yet(lake: Backend) -> None:
    assert figures.read(lake, Asked()) == Trends(Asked(), [], {}, [], [], [], [])
    assert figures.read(lake, Asked(plugin="x")).overall == []


def test_a_plugin_may_be_called_anything(lake: Backend) -> None:
    name = "'; DROP VIEW runs; --\x1b[31m\u202e"
    store(lake, [Run("a", 0, (EVAL,), plugin=name), Run("b", 1, (EVAL,))])
    found = figures.read(lake, Asked(plugin=name))
    assert (list(found.plugins), found.overall[0].runs) == ([name], 1)


def test_the_table_is_typed_as_declared(lake: Backend) -> None:
    store(lake, daily(3, EVAL))
    assert figures.table(lake, Asked()).column_names == [column.name for column in PERIODS]


def test_the_end_is_not_before_the_beginning() -> None:
    with pytest.raises(UsageError, match="before it begins"):
        Asked(date(2025, 1, 2), date(2025, 1, 1))


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_first_and_the_last_day_of_all_are_days(lake: Backend, moment: str) -> None:
    run = Run("far", 0, (EVAL,))
    day = date.fromisoformat(moment[:10])

    class Far(Run):
        @property
        def moment(self) -> datetime:
            return datetime.fromisoformat(moment)

    store(lake, [Far("far", 0, (EVAL,)), replace(run, run_id="near")])
    for grain in Grain:
        rows = figures.read(lake, Asked(grain=grain)).overall
        assert grain.begin(day) in {row.period for row in rows}
        assert all(grain.label(row.period) for row in rows)


SCORED = st.builds(
    lambda run, score: replace(run, score=score), RUNS, st.one_of(st.none(), st.integers(0, 100))
)
RULED = ISSUES.flatmap(lambda issue: st.sampled_from(["", "R1", "R2"]).map(lambda r: replace(issue, rule=r)))
ANY = st.builds(
    lambda run, issues: replace(run, issues=issues), SCORED, st.lists(RULED, max_size=4).map(tuple)
)
BATCH = st.lists(ANY, min_size=1, max_size=5, unique_by=lambda run: run.run_id)
STEPS = st.lists(
    st.one_of(
        BATCH,
        BATCH,
        st.builds(Deleted, st.lists(RUNS.map(lambda run: run.run_id), max_size=2).map(tuple)),
        st.sampled_from(["update", "compact"]),
    ),
    min_size=1,
    max_size=6,
)
DAYS = st.one_of(st.none(), st.integers(-2, 72).map(lambda days: DAY + timedelta(days=days)))


@st.composite
def questions(draw: Any) -> Asked:
    first, last = draw(DAYS), draw(DAYS)
    if first is not None and last is not None and last < first:
        first, last = last, first
    return Asked(
        first, last, draw(st.sampled_from([None, None, "demo", "absent"])), draw(st.sampled_from(Grain))
    )


def followed(backend: Backend, steps: list[Any], questions: list[Asked]) -> None:
    """Take the steps and check every answer at the end, and after each step one."""
    there: dict[str, Run] = {}
    for number, step in enumerate(steps):
        if step == "update":
            bring_up_to_date(backend, grace=0)
        elif step == "compact":
            backend.maintain(timedelta(0))
        elif isinstance(step, Deleted):
            backend.delete(step.run_ids)
            there = {run_id: run for run_id, run in there.items() if run_id not in step.run_ids}
        else:
            store(backend, step)
            for run in sorted(step, key=lambda run: run.run_id):
                if there.get(run.run_id) != run:  # one that is there already was stored before
                    there.pop(run.run_id, None)
                    there[run.run_id] = run
        check(backend, list(there.values()), questions[number % len(questions)])
    for asked in questions:
        check(backend, list(there.values()), asked)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.lists(questions(), min_size=1, max_size=4))
def test_any_history_of_a_lake_is_as_worked_out(steps: list[Any], asked: list[Asked]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        followed(open_storage(folder).backend, steps, asked)


@settings(max_examples=15, deadline=None)
@given(STEPS, st.lists(questions(), min_size=1, max_size=3))
def test_any_history_of_a_database_is_as_worked_out(steps: list[Any], asked: list[Asked]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder, "config.yaml")
        configuration.write_text(
            f"storage_backend: sqlite\nstorage_config:\n  sqlite:\n    database_path: {folder}/issues.db\n"
        )
        followed(open_storage(config=configuration).backend, steps, asked)
