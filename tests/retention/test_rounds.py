"""Which runs go: by `max_history`, by days of plugin and severity; and which never do."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.retention import pins
from assets.retention.rounds import Retained, retain
from assets.retention.rules import Policy, configured_policy, policy_of
from resources.backends.database_factory import DatabaseFactory, FactoryConfig
from resources.config import Opened, configuration, configured
from resources.errors import ConfigError, StorageError, UsageError
from resources.schema import SEVERITIES
from resources.selection.reconcile import reconcile
from tests.lake.state import append, read
from tests.retention.test_figures import let_go
from tests.selection.world import REFUSES, WELL, SwitchedLake, begin, rested
from tests.selection.world import World as Lakes

NONE = timedelta(0)
TODAY = datetime.now(UTC)


def run(run_id: str, days: float, worst: str = "clean", plugin: str = "demo") -> dict[str, Any]:
    """A run that was `days` ago, with its worst issue and all milder ones."""
    milder = SEVERITIES[SEVERITIES.index(worst) :] if worst != "clean" else ()
    return {
        "validation_run_id": run_id,
        "timestamp": (TODAY - timedelta(days=days)).isoformat(),
        "target_plugin": plugin,
        "issues_list": [{"severity": severity, "description": f"it is {severity}"} for severity in milder],
    }


class Place:
    """A lake in a folder with a `max_history`."""

    def __init__(self, folder: Path, max_history: int = 0) -> None:
        keys = {"storage_path": str(folder / "lake"), "max_history": max_history}
        document = {"storage_backend": "local_file", "storage_config": {"local_file": keys}}
        self.opened = Opened(configured(document))
        self.lake = self.opened.begin().backend

    def retain(self, keep_days: dict[str, Any] | None = None, dry_run: bool = False) -> Retained:
        policy = policy_of({"keep_days": keep_days or {}}, "it")
        [done] = retain(self.opened, policy, dry_run)
        assert done.problem is None
        return done

    def goes(self, keep_days: dict[str, Any] | None = None) -> dict[str, str]:
        return {run.validation_run_id: run.rule for run in self.retain(keep_days, dry_run=True).leaving}


def test_the_newest_stay_by_their_moment(tmp_path: Path) -> None:
    place = Place(tmp_path, 2)
    append(place.lake, [run("b", 3), run("d", 1)])
    append(place.lake, [run("a", 4), run("c", 2)])
    assert place.goes() == {"a": "max_history = 2", "b": "max_history = 2"}


def test_the_newest_run_of_a_plugin_stays(tmp_path: Path) -> None:
    place = Place(tmp_path, 1)
    append(place.lake, [run("old", 400, plugin="rare"), run("older", 500, plugin="rare"), run("new", 1)])
    assert list(place.goes({"by_plugin": {"*": 1}})) == ["older"]


def test_days_of_a_plugin_are_those_of_the_first_pattern_that_fits(tmp_path: Path) -> None:
    place = Place(tmp_path)
    plugins = ("legacy-a", "legacy-b", "other")
    append(place.lake, [run(f"{p} {days}", days, plugin=p) for p in plugins for days in (0, 20, 40)])
    days = {"legacy-a": 50, "legacy-*": 10, "*": 30}
    assert place.goes({"by_plugin": days}) == {
        "legacy-b 20": "keep_days.by_plugin.legacy-* = 10",
        "legacy-b 40": "keep_days.by_plugin.legacy-* = 10",
        "other 40": "keep_days.by_plugin.* = 30",
    }


def test_a_run_stays_as_long_as_its_worst_issue_demands(tmp_path: Path) -> None:
    place = Place(tmp_path)
    worst = ("critical", "high", "low", "clean")
    append(place.lake, [run("newest", 0), *(run(f"{w} {d}", d, w) for w in worst for d in (5, 25, 45))])
    days = {"critical": 40, "low": 20, "clean": 1}
    rules = {
        "critical 45": "keep_days.by_severity.critical = 40",
        "low 25": "keep_days.by_severity.low = 20",
        "low 45": "keep_days.by_severity.low = 20",
        **{f"clean {d}": "keep_days.by_severity.clean = 1" for d in (5, 25, 45)},
    }
    assert place.goes({"by_severity": days}) == rules
    # Where the plugin has days, too, the longer ones hold.
    assert place.goes({"by_severity": days, "by_plugin": {"demo": 30}}) == {
        "critical 45": "keep_days.by_severity.critical = 40",
        **{f"{w} 45": "keep_days.by_plugin.demo = 30" for w in ("high", "low", "clean")},
    }


def test_nothing_goes_where_nothing_is_asked_for(tmp_path: Path) -> None:
    place = Place(tmp_path)
    append(place.lake, [run(f"r{n}", n) for n in range(120)])
    assert place.goes() == {}


DAYS = st.integers(1, 60)
RUNS = st.lists(
    st.builds(
        run,
        st.uuids().map(str),
        st.integers(0, 80).map(lambda days: days + 0.5),
        st.sampled_from([*SEVERITIES, "clean"]),
        st.sampled_from(["a", "ab", "b"]),
    ),
    min_size=1,
    max_size=8,
)
POLICIES = st.fixed_dictionaries(
    {
        "by_plugin": st.dictionaries(st.sampled_from(["a", "a*", "*", "?"]), DAYS, max_size=2),
        "by_severity": st.dictionaries(st.sampled_from([*SEVERITIES, "clean"]), DAYS, max_size=3),
    }
)


@settings(max_examples=10, deadline=None)
@given(RUNS, POLICIES, st.integers(0, 4), st.data())
def test_what_the_dry_run_lists_is_what_goes(
    runs: list[dict[str, Any]], policy: dict[str, Any], newest: int, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), newest)
        append(place.lake, runs)
        ids = [run["validation_run_id"] for run in runs]
        kept = data.draw(st.lists(st.sampled_from(ids), max_size=2, unique=True))
        pins.pin(place.lake, kept, "it matters", "ann")
        listed = place.retain(policy, dry_run=True)
        assert set(read(place.lake)) == set(ids)
        done = place.retain(policy)
        assert done.leaving == listed.leaving
        left = set(read(place.lake))
        assert left == set(ids) - {run.validation_run_id for run in listed.leaving}
        assert left >= set(kept)
        assert place.goes(policy) == {}
        if newest and not kept:
            assert len(left) <= max(newest, newest + len({run["target_plugin"] for run in runs}))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "mapping"),
        ({"keep": 1}, "keep"),
        ({"keep_days": {"by_severity": {"hgih": 3}}}, "hgih"),
        ({"keep_days": {"by_plugin": {"*": 0}}}, "by_plugin"),
        ({"keep_days": {"by_plugin": {"*": "x"}}}, "by_plugin"),
        ({"keep_days": {"by_plugin": {"": 3}}}, "by_plugin"),
        ({"keep_days": {"by_day": {}}}, "by_day"),
    ],
)
def test_a_policy_that_is_none_says_where(document: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        policy_of(document, "retention.yaml")


def test_the_policy_that_the_documentation_shows_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs/retention.md").read_text("utf-8")
    [shown] = re.findall(r"(?m)^    keep_days:\n(?:      .*\n)+", page)
    assert policy_of(yaml.safe_load(shown), "the page").keep_days.by_severity["clean"] == 30


def test_the_policy_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured_policy() == Policy()
    monkeypatch.setenv("ISSUELAKE_RETENTION", str(tmp_path / "retention.yaml"))
    with pytest.raises(ConfigError, match=r"retention\.yaml"):
        configured_policy()
    (tmp_path / "retention.yaml").write_text("keep_days: {by_plugin: {'*': 7}}")
    assert configured_policy().keep_days.by_plugin == {"*": 7}
    (tmp_path / "retention.yaml").write_text("keep_days: {")
    with pytest.raises(ConfigError, match="not YAML"):
        configured_policy()


def test_max_history_is_100_of_local_file_that_is_configured_and_0_else(tmp_path: Path) -> None:
    def of(document: dict[str, Any]) -> dict[str, int]:
        return {each.name: each.settings.max_history for each in configured(document)}

    assert of({"storage_backend": "local_file"}) == {"local_file": 100}
    assert of({"storage_config": {"sqlite": {}}}) == {"sqlite": 0, "local_file": 100}
    assert of({"storage_config": {"local_file": {"max_history": "7"}}}) == {"local_file": 7}
    # A folder that nobody has configured as a backend is all that there is.
    assert of({}) == of(configuration(str(tmp_path))) == {"local_file": 0}
    with pytest.raises(ConfigError, match="max_history"):
        of({"storage_config": {"local_file": {"max_history": -1}}})
    factory = {
        "databases": {"sqlite": {}, "postgresql": {"username": "u", "max_history": 3}},
        "max_history": 9,
    }
    [made, _] = configured({"storage_config": {"database_factory": factory}})
    assert isinstance(made.settings, DatabaseFactory)
    assert made.settings.members()["sqlite"].max_history == 9
    other = msgspec.structs.replace(
        made.settings, factory_config=FactoryConfig(primary_database="postgresql")
    )
    assert other.members()["postgresql"].max_history == 3


class TestPins:
    def test_one_that_is_pinned_stays_until_it_is_unpinned(self, tmp_path: Path) -> None:
        place = Place(tmp_path, 1)
        append(place.lake, [run(f"r{n}", n) for n in range(3)])
        pins.pin(place.lake, ["r2", "r1"], "shipped", "ann")
        assert place.goes() == {}
        pins.unpin(place.lake, ["r1"], "no longer", "bob")
        assert list(place.goes()) == ["r1"]
        assert [(p.validation_run_id, p.pinned, p.actor) for p in pins.made(place.lake.files)] in (
            [("r2", True, "ann"), ("r1", True, "ann"), ("r1", False, "bob")],
            [("r1", True, "ann"), ("r2", True, "ann"), ("r1", False, "bob")],
        )

    def test_what_cannot_be_pinned_is_refused_and_nothing_is_written(self, tmp_path: Path) -> None:
        lake = Place(tmp_path).lake
        append(lake, [run("a", 1)])
        for ids, reason, actor in ((["a", "b"], "x", "ann"), (["a"], " ", "ann"), (["a"], "x", "")):
            with pytest.raises(UsageError):
                pins.pin(lake, ids, reason, actor)
        with pytest.raises(UsageError, match="not pinned"):
            pins.unpin(lake, ["a"], "x", "ann")
        assert pins.made(lake.files) == []


@pytest.fixture
def lakes(tmp_path: Path) -> Iterator[Lakes]:
    yield Lakes(tmp_path, ["first", "last"], last={"max_history": 1})
    SwitchedLake.states.clear()


def round_over(lakes: Lakes, settling: timedelta = NONE) -> dict[str, list[str]]:
    """A round over the chain; which runs went where."""
    opened = Opened(configured({}))
    opened.chain = lakes.chain()
    done = retain(opened, Policy(), settling=settling)
    return {one.backend: [run.validation_run_id for run in one.leaving] for one in done}


class TestSeveralBackends:
    def test_what_is_owed_stays_until_it_is_paid(self, lakes: Lakes) -> None:
        """The first one has earlier versions of the runs, which are not what is owed."""
        append(lakes.lake("first"), [run(f"r{n}", n) for n in range(3)])
        lakes.set("first", REFUSES)
        append(begin(lakes.chain()), [run(f"r{n}", n, "high") for n in range(3)])
        lakes.set("first", WELL)
        rested()
        assert round_over(lakes) == {"first": [], "last": []}
        reconcile(lakes.chain())
        assert round_over(lakes) == {"first": [], "last": ["r2", "r1"]}
        assert [len(r.issues) for r in read(lakes.lake("first")).values()] == [3, 3, 3]
        assert set(read(lakes.lake("last"))) == {"r0"}

    def test_what_was_stored_just_now_may_not_be_in_the_ledger_yet(self, lakes: Lakes) -> None:
        for name in ("first", "last"):
            append(lakes.lake(name), [run(f"r{n}", n) for n in range(3)])
        assert round_over(lakes, timedelta(hours=1))["last"] == []
        assert round_over(lakes)["last"] == ["r2", "r1"]

    def test_what_the_first_one_never_had_stays(self, lakes: Lakes) -> None:
        """As in a folder that was all there was before a database was configured."""
        append(lakes.lake("last"), [run(f"r{n}", n) for n in range(4)])
        append(lakes.lake("first"), [run("r2", 2), run("r3", 3)])
        let_go(lakes.lake("first"), ["r3"])
        assert round_over(lakes) == {"first": [], "last": ["r3", "r2"]}

    def test_a_pin_in_one_backend_holds_in_all(self, lakes: Lakes) -> None:
        for name in ("first", "last"):
            append(lakes.lake(name), [run(f"r{n}", n) for n in range(3)])
        pins.pin(lakes.lake("first"), ["r2"], "it matters", "ann")
        assert round_over(lakes)["last"] == ["r1"]

    def test_nothing_goes_where_nobody_says_what_is_pinned(self, lakes: Lakes) -> None:
        append(lakes.lake("last"), [run(f"r{n}", n) for n in range(3)])
        lakes.set("first", REFUSES)
        with pytest.raises(StorageError, match="first does not say which runs are pinned"):
            round_over(lakes)
        assert len(read(lakes.lake("last"))) == 3
