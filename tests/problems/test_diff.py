"""What is different between two runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.problems import diff_documents
from assets.problems.diff import Diff, diff
from resources.backend import Backend
from resources.config import open_storage
from resources.errors import UsageError
from tests.problems.histories import Issue, Run, store
from tests.problems.test_lifecycle import ISSUES

EVAL, SHELL = Issue("eval is used"), Issue("a shell is started", "security", severity="low")
HOSTILE = Issue("| <img src=x onerror=alert(1)> [x](javascript:1) @all `a`\n# y \u202e", path="a|b\n`*.py")


@pytest.fixture
def lake(tmp_path: Path) -> Backend:
    return open_storage(str(tmp_path / "lake")).backend


def texts(found: Diff) -> dict[str, list[str]]:
    return {
        kind: sorted(issue["description"] for issue in getattr(found, kind))
        for kind in ("new", "fixed", "unchanged", "not_checked")
    } | {"moved": sorted(after["description"] for _, after in found.moved)}


NOTHING: dict[str, list[str]] = {kind: [] for kind in ("new", "fixed", "unchanged", "not_checked", "moved")}


def test_new_fixed_and_unchanged(lake: Backend) -> None:
    fresh = Issue("fresh", severity="critical")
    store(lake, [Run("a", 0, (EVAL, SHELL)), Run("b", 30, (replace(EVAL, line=9), fresh))])
    wanted = NOTHING | {"new": ["fresh"], "fixed": [SHELL.text], "unchanged": [EVAL.text]}
    for before, after in (("a", "b"), ("previous", "latest"), ("2025-03-01", "2025-03-02"), ("a", "latest")):
        found = diff(lake, before, after)
        assert texts(found) == wanted, (before, after)
    assert found.counts["new"] == {"total": 1, "critical": 1, "high": 0, "medium": 0, "low": 0}
    assert texts(diff(lake, "b", "a"))["new"] == [SHELL.text]
    assert texts(diff(lake, "2020-01-01", "a"))["new"] == sorted([EVAL.text, SHELL.text])


def test_one_that_went_to_another_file_is_neither_new_nor_fixed(lake: Backend) -> None:
    before = (replace(EVAL, path="src/a.py"), replace(EVAL, path="src/b.py"), replace(SHELL, path="x.py"))
    after = (replace(EVAL, path="lib/b.py"), replace(EVAL, path="lib/c.py"), replace(SHELL, path="x.py"))
    store(lake, [Run("a", 0, before), Run("b", 1, after)])
    found = diff(lake, "a", "b")
    assert texts(found) == NOTHING | {"moved": [EVAL.text, EVAL.text], "unchanged": [SHELL.text]}
    moves = {(old["file_path"], new["file_path"]) for old, new in found.moved}
    assert moves == {("src/b.py", "lib/b.py"), ("src/a.py", "lib/c.py")}


def test_what_one_run_did_not_look_at_is_not_compared(lake: Backend) -> None:
    store(lake, [Run("a", 0, (EVAL, SHELL)), Run("b", 1, (), scope=["style"]), Run("c", 2, (EVAL, SHELL))])
    assert texts(diff(lake, "a", "b")) == NOTHING | {"fixed": [EVAL.text], "not_checked": [SHELL.text]}
    assert texts(diff(lake, "b", "c")) == NOTHING | {"new": [EVAL.text], "not_checked": [SHELL.text]}


def test_every_plugin_has_its_own_runs(lake: Backend) -> None:
    store(lake, [Run(f"{p}-{n}", n, (EVAL,) * n, p) for p in ("one", "two") for n in (0, 1)])
    store(lake, [Run("alone", 0, (SHELL,), "three")])
    found = diff(lake, "previous", "latest")
    assert sorted(issue["target_plugin"] for issue in found.new) == ["one", "three", "two"]
    assert texts(diff(lake, "previous", "latest", "one"))["new"] == [EVAL.text]
    assert list(diff(lake, "one-0", "latest").runs) == ["one"]


def test_many_plugins_are_read_in_one_go(lake: Backend) -> None:
    runs = [Run(f"{p}-{n}", n * 24, (EVAL,) * n, f"plugin-{p}") for p in range(20) for n in (0, 1)]
    store(lake, runs)
    assert diff(lake, "previous", "latest").counts["new"]["total"] == 20


def test_words_that_mean_nothing_are_refused(lake: Backend) -> None:
    store(lake, [Run("a", 0, (), "one"), Run("b", 0, (), "two")])
    for before, after, said in (
        ("nope", "latest", "'nope' is no run that is stored"),
        ("a", "b", "are not runs of one plugin"),
        ("a' OR true --", "latest", "no run that is stored"),
    ):
        with pytest.raises(UsageError, match=said):
            diff(lake, before, after)
    with pytest.raises(UsageError, match="a is a run of one, not of two"):
        diff(lake, "a", "latest", "two")
    assert diff(lake, "latest", "latest", "' OR true --").runs == {}


def test_documents_of_a_diff(lake: Backend) -> None:
    store(lake, [Run("a", 0, (SHELL,)), Run("b", 1, (HOSTILE, EVAL))])
    found = diff(lake, "previous", "latest")
    text = diff_documents.markdown(found)
    assert text.startswith("## 2 new, 1 fixed\n")
    for markup in ("<img", " [x](", "\u202e", " @all", "\n# y", "a|b"):
        assert markup not in text
    rows = [line for line in text.splitlines() if "onerror" in line]
    assert len(rows) == 1
    document = json.loads(json.dumps(diff_documents.document(found)))
    assert document["counts"]["new"]["total"] == len(document["new"]) == 2
    assert document["runs"][0]["before"]["validation_run_id"] == "a"
    log = json.loads(diff_documents.sarif(found))
    [run] = log["runs"]
    assert sorted(result["message"]["text"] for result in run["results"]) == sorted([EVAL.text, HOSTILE.text])


def test_markdown_stays_short(lake: Backend) -> None:
    many = tuple(Issue(f"{'word ' * 2000}{chr(97 + n % 26) * (n + 1)}") for n in range(120))
    store(lake, [Run("a", 0), Run("b", 1, many)])
    text = diff_documents.markdown(diff(lake, "a", "b"))
    assert "… and 70 more" in text
    assert len(text) < 65_536


@settings(max_examples=40, deadline=None)
@given(st.lists(ISSUES, max_size=6).map(tuple), st.lists(ISSUES, max_size=6).map(tuple))
def test_every_issue_is_in_exactly_one_place(
    tmp_path_factory: pytest.TempPathFactory, before: tuple[Issue, ...], after: tuple[Issue, ...]
) -> None:
    lake = open_storage(str(tmp_path_factory.mktemp("lake"))).backend
    olds, news = Run("a", 0, before), Run("b", 1, after)
    store(lake, [olds, news])
    found = diff(lake, "a", "b")
    same = {issue["fingerprint"] for issue in found.unchanged}
    moved = [(old["fingerprint"], new["fingerprint"]) for old, new in found.moved]
    assert same == olds.prints().keys() & news.prints().keys()
    gone = sorted([*same, *(i["fingerprint"] for i in found.fixed), *(old for old, _ in moved)])
    come = sorted([*same, *(i["fingerprint"] for i in found.new), *(new for _, new in moved)])
    assert gone == sorted(olds.prints())
    assert come == sorted(news.prints())
    for old, new in found.moved:
        assert old["file_path"] != new["file_path"]
        assert old["category"] == new["category"]
