"""What becomes of problems, against a plain working out."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.backend import Backend
from resources.config import open_storage
from tests.problems.histories import FIRST, Issue, Run, expected, lifecycle, rows, store

EVAL, SHELL = Issue("eval is used"), Issue("a shell is started", "security")


@pytest.fixture
def lake(tmp_path: Any) -> Backend:
    return open_storage(str(tmp_path / "lake")).backend


def statuses(backend: Backend) -> dict[str, str]:
    return {row["description"]: row["status"] for row in rows(backend).values()}


def test_new_open_fixed_and_reopened(lake: Backend) -> None:
    store(lake, [Run("a", 0, (EVAL, SHELL)), Run("b", 1, (EVAL,))])
    assert statuses(lake) == {EVAL.text: "open", SHELL.text: "fixed"}
    store(lake, [Run("c", 2, (EVAL, SHELL, Issue("fresh")))])
    assert statuses(lake) == {EVAL.text: "open", SHELL.text: "reopened", "fresh": "new"}
    store(lake, [Run("d", 3, ())])
    assert set(statuses(lake).values()) == {"fixed"}


def test_shifted_lines_and_volatile_text_are_the_same_problem(lake: Backend) -> None:
    before = Issue("'x' is read in line 12 at 0xff", line=12)
    after = replace(before, text="'y' is read in line 99 at 0x1", line=99)
    store(lake, [Run("a", 0, (before,)), Run("b", 1, (after,))])
    [row] = rows(lake).values()
    assert (row["status"], row["runs_seen"], row["description"]) == ("open", 2, after.text)


def test_two_equal_issues_of_a_run_stay_two(lake: Backend) -> None:
    store(lake, [Run("a", 0, (EVAL, EVAL)), Run("b", 1, (EVAL,))])
    assert sorted(row["status"] for row in rows(lake).values()) == ["fixed", "open"]


def test_a_run_that_did_not_look_neither_fixes_nor_sees(lake: Backend) -> None:
    store(lake, [Run("a", 0, (EVAL, SHELL)), Run("b", 1, (EVAL,), scope=["style"])])
    assert statuses(lake) == {EVAL.text: "open", SHELL.text: "not_checked"}
    store(lake, [Run("c", 2, (EVAL, SHELL), scope={"categories": ["security"]})])
    assert statuses(lake) == {EVAL.text: "not_checked", SHELL.text: "open"}
    store(lake, [Run("d", 3, (), scope={"paths": ["lib/*"]})])
    assert statuses(lake) == {EVAL.text: "not_checked", SHELL.text: "not_checked"}
    store(lake, [Run("e", 4, (), scope={"categories": ["security"], "paths": ["**/a.py"]})])
    assert statuses(lake) == {EVAL.text: "not_checked", SHELL.text: "fixed"}


@pytest.mark.parametrize(
    "scope",
    [
        "style",
        '["style"]',
        5,
        True,
        {"categories": "style"},
        {"paths": 1},
        {"paths": {}},
        {"other": []},
        None,
    ],
)
def test_a_scope_of_another_shape_says_nothing(lake: Backend, scope: Any) -> None:
    store(lake, [Run("a", 0, (EVAL, SHELL)), Run("b", 1, (), scope=scope)])
    assert set(statuses(lake).values()) == {"fixed"}


def test_globs_of_a_scope_cannot_break_anything(lake: Backend) -> None:
    hostile = ["[", "(", "\\", "a{1,99999}", "*" * 5000, "[!", "+", "?[", "\x00"]
    store(lake, [Run("a", 0, (EVAL,)), Run("b", 1, (), scope={"paths": hostile})])
    assert statuses(lake) == {EVAL.text: "not_checked"}


def test_equal_timestamps_go_by_storing_and_then_by_id(lake: Backend) -> None:
    store(lake, [Run("b", 0, (EVAL,)), Run("a", 0, ())])
    assert statuses(lake) == {EVAL.text: "new"}
    store(lake, [Run("0", 0, ())])
    assert statuses(lake) == {EVAL.text: "fixed"}


ISSUES = st.builds(
    Issue,
    st.sampled_from(["one", "two", "line 3", "line 4"]),
    st.sampled_from(["style", "security", None]),
    st.sampled_from(["src/a.py", "lib/b.py", None]),
    st.sampled_from(["critical", "low"]),
)
SCOPES = st.one_of(
    st.none(),
    st.none(),
    st.sampled_from(
        [["style"], [], ["style", "security"], "style", {"paths": ["src/*"]}, {"paths": ["**/b.?y"]}]
    ),
    st.fixed_dictionaries({"categories": st.just(["security", ""]), "paths": st.just(["*.py"])}),
)
RUNS = st.builds(
    Run,
    st.sampled_from([f"run-{n}" for n in range(12)]),
    st.integers(0, 24 * 70).map(lambda hours: hours - hours % 8),
    st.lists(ISSUES, max_size=4).map(tuple),
    st.sampled_from(["demo", "other"]),
    SCOPES,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(RUNS, min_size=1, max_size=10, unique_by=(lambda run: run.run_id, lambda run: run.hours)))
def test_any_history_is_as_worked_out(runs: list[Run]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = open_storage(folder).backend
        store(lake, runs)
        assert lifecycle(lake) == expected(runs)
        for until in (run.moment for run in runs[:2]):
            assert lifecycle(lake, until) == expected([run for run in runs if run.moment <= until])
        assert lifecycle(lake, FIRST.replace(year=2020)) == {}
