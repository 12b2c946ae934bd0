"""What is owed is paid exactly once, whatever interrupts it and however many are at it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from resources.errors import StorageError
from resources.files import LocalFiles
from resources.lake import Lake
from resources.selection.chain import Chain
from resources.selection.ledger import Ledger
from resources.selection.member import Member
from resources.selection.reconcile import reconcile
from tests.faults import AFTER, BEFORE, KILLED, TORN, FaultyLocalFiles, Killed, Plan
from tests.lake.state import DAYS, State, append, check, document, read, stored
from tests.selection.world import REFUSES, WELL, SwitchedLake, World, begin


@pytest.fixture(autouse=True)
def forget_states() -> Iterator[None]:
    yield
    SwitchedLake.states.clear()


def owing(folder: Path) -> World:
    """A world whose first backend is owed two batches and a deletion."""
    world = World(folder, ["first", "second"])
    append(world.lake("first"), [document("a"), document("gone")])
    world.set("first", REFUSES)
    chain = world.chain()
    append(begin(chain), [document("a", DAYS[1], version=1), document("b")])
    begin(chain).delete(["gone"])
    world.set("first", WELL)
    (folder / "notes" / "standing" / "first.json").unlink()
    return world


WANTED: State = {"a": stored("a", DAYS[1], 1), "b": stored("b")}


class Faulty(Member):
    """A member whose files fail by `plan`."""

    def __init__(self, world: World, name: str, plan: Plan) -> None:
        original = world.chain().member(name)
        assert original is not None
        super().__init__(name, name, original.settings, lambda: LocalFiles(str(world.folder / "notes")))
        self._lake = Lake(FaultyLocalFiles(str(world.folder / name), plan))

    def backend(self) -> Lake:
        return self._lake

    def look(self) -> object:  # type: ignore[override]  # its round trip would be calls, too
        self.standing.succeeded()
        return type("Well", (), {"healthy": True, "error": None, "latency_ms": 0.0})()


@pytest.mark.parametrize("mode", [BEFORE, AFTER, TORN, KILLED])
def test_interrupted_at_any_call_it_is_completed_later(tmp_path: Path, mode: str) -> None:
    folder, kept = tmp_path / "world", tmp_path / "kept"
    world = owing(folder)
    shutil.copytree(folder, kept)
    number = 0
    while True:
        number += 1
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        plan = Plan(number, mode)
        notes = FaultyLocalFiles(str(folder / "notes"), plan)
        members = [Faulty(world, name, plan) for name in ("first", "second")]
        with suppress(StorageError, Killed):
            reconcile(Chain(members, lambda notes=notes: notes))  # type: ignore[misc]
        if not plan.fired:
            break
        again = world.chain()
        for member in again.members:
            member.standing.known.failures = 0
        assert read(begin(again)) == WANTED
        done = reconcile(again)
        assert done.left == 0, (number, done)
        assert again.ledger.entries() == []
        assert read(world.lake("first")) == WANTED
    assert number > 3


def test_two_at_once_do_no_harm(tmp_path: Path) -> None:
    world = owing(tmp_path)
    chains = [world.chain() for _ in range(4)]
    threads = [threading.Thread(target=reconcile, args=[chain]) for chain in chains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.chain().ledger.entries() == []
    check(world.lake("first"), WANTED)


def test_what_is_owed_outlives_the_process(tmp_path: Path) -> None:
    config = tmp_path / "storages.yaml"
    config.write_text(
        "storage_config:\n"
        f"  sqlite: {{database_path: {tmp_path}/away/issues.db}}\n"
        f"  local_file: {{storage_path: {tmp_path}/lake}}\n"
    )
    (tmp_path / "away").write_text("in the way")
    run = tmp_path / "run.json"
    run.write_text(json.dumps(document("a")))

    def issuelake(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from pipelines.cli import main; main()", *arguments]
        return subprocess.run(
            [*command, "--config", str(config)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ,
        )

    done = issuelake("ingest", str(run))
    assert done.returncode == 0, done
    assert "passed over  sqlite: " in done.stderr
    assert "(local_file was used)" in done.stderr
    assert json.loads(issuelake("ledger", "list", "--json").stdout)["count"] == 1
    assert issuelake("reconcile").returncode == 1
    (tmp_path / "away").unlink()
    (tmp_path / "away").mkdir()
    done = issuelake("reconcile")
    assert done.returncode == 0, done
    assert "1 of 1 entries settled: 1 runs copied" in done.stdout
    latest = json.loads(issuelake("latest", "--json").stdout)
    assert latest["operation_result"]["storage_backend_used"] == "sqlite"
    assert latest["issues_data"]["validation_run_id"] == "a"


def test_a_backend_that_is_gone_leaves_its_entries_to_be_handed_over(tmp_path: Path) -> None:
    owing(tmp_path)
    other = World(tmp_path, ["third", "second"])
    chain = other.chain()
    done = reconcile(chain)
    assert (done.struck, done.left) == (0, 2)
    assert "first" in done.problems[0]
    assert "ledger hand-over first NAME" in done.problems[0]
    third = chain.member("third")
    assert third is not None
    for entry in chain.ledger.entries():
        chain.ledger.hand_over(entry, "third", third.place)
    check(begin(chain), WANTED)
    assert reconcile(chain).left == 0
    check(other.lake("third"), WANTED)


def test_a_backend_that_moved_is_not_taken_for_the_former_one(tmp_path: Path) -> None:
    world = owing(tmp_path)
    entry = world.chain().ledger.entries()[0]
    ledger = Ledger(LocalFiles(str(tmp_path / "notes")))
    ledger.hand_over(entry, "first", "elsewhere")
    done = reconcile(world.chain())
    assert done.left == 1
    assert "was elsewhere and is" in done.problems[0]


class Machine(RuleBasedStateMachine):
    """Stores and deletes while backends come and go, against a plain dictionary."""

    folder: Path
    world: World

    @initialize()
    def start(self) -> None:
        self.world = World(Path(mkdtemp(dir=self.folder)), ["first", "second", "last"])
        self.away: set[str] = set()
        self.wanted: State = {}
        self.chain = self.world.chain()

    def _all_asked(self) -> None:
        for member in self.chain.members:
            member.standing.known.failures = 0

    @rule(
        name=st.sampled_from("abcd"),
        day=st.sampled_from(DAYS[:3]),
        version=st.integers(0, 2),
    )
    def store(self, name: str, day: object, version: int) -> None:
        self._all_asked()
        append(begin(self.chain), [document(name, day, version)])  # type: ignore[arg-type]
        self.wanted[name] = stored(name, day, version)  # type: ignore[arg-type]

    @rule(name=st.sampled_from("abcd"))
    def delete(self, name: str) -> None:
        self._all_asked()
        begin(self.chain).delete([name])
        self.wanted.pop(name, None)

    @precondition(lambda self: len(self.away) < 2)
    @rule(name=st.sampled_from(["first", "second"]))
    def goes(self, name: str) -> None:
        self.away.add(name)
        self.world.set(name, REFUSES)

    @rule(name=st.sampled_from(["first", "second"]))
    def comes_back(self, name: str) -> None:
        self.away.discard(name)
        self.world.set(name, WELL)

    @rule()
    def restarts(self) -> None:
        self.chain = self.world.chain()

    @rule()
    def pays(self) -> None:
        self._all_asked()
        reconcile(self.chain)

    @precondition(lambda self: not self.away)
    @rule()
    def reads(self) -> None:
        self._all_asked()
        check(begin(self.chain), self.wanted)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for name in ("first", "second"):
            self.world.set(name, WELL)
        self._all_asked()
        check(begin(self.chain), self.wanted)
        done = reconcile(self.chain)
        assert (done.left, done.problems) == (0, [])
        check(self.world.lake("first"), self.wanted)
        assert read(begin(self.chain)) == self.wanted


def test_any_course_of_events(tmp_path: Path) -> None:
    Machine.folder = tmp_path
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_many_entries_are_paid_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, ["first", "second"])
    world.set("first", REFUSES)
    chain = world.chain()
    for n in range(12):
        append(begin(chain), [document(f"r{n}")])
    world.set("first", WELL)
    reads = []
    reading = Lake.reading

    def counted(self: Lake, *args: Any, **keys: Any) -> Any:
        reads.append(self.url)
        return reading(self, *args, **keys)

    monkeypatch.setattr(Lake, "reading", counted)
    done = reconcile(chain)
    assert (done.struck, done.left, done.runs_copied) == (12, 0, 12)
    assert len(reads) == 3


def test_one_run_that_is_lost_leaves_the_other_entries_paid(tmp_path: Path) -> None:
    world = World(tmp_path, ["first", "second"])
    world.set("first", REFUSES)
    chain = world.chain()
    for name in ("a", "b"):
        append(begin(chain), [document(name)])
    world.lake("second").delete(["a"])  # by somebody with another ledger
    world.set("first", WELL)
    done = reconcile(chain)
    assert (done.struck, done.left) == (1, 1)
    assert "second has lost it" in done.problems[0]
    check(world.lake("first"), {"b": stored("b")})
