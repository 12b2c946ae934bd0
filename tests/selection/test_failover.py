"""What happens when a backend fails: the next one takes over, nothing is lost, nothing counts twice."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest

from pipelines.operations.dispatch import run
from resources.errors import StorageError
from resources.lake import Lake
from resources.lake.marks import Audit
from resources.selection.chain import look_at
from resources.selection.reconcile import reconcile
from tests.lake.state import DAYS, append, check, document, read, stored
from tests.selection.world import (
    DEADLINE,
    HANGS,
    READ_ONLY,
    REFUSES,
    WELL,
    SwitchedLake,
    World,
    begin,
    rested,
)
from tests.servers import missing


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield World(tmp_path, ["first", "second", "last"])
    SwitchedLake.states.clear()


def test_the_preferred_backend_is_used_while_it_is_well(world: World) -> None:
    chain = world.chain()
    append(begin(chain), [document("a")])
    check(world.lake("first"), {"a": stored("a")})
    assert read(world.lake("second")) == {}
    assert chain.ledger.entries() == []


@pytest.mark.parametrize("state", [REFUSES, HANGS, READ_ONLY])
def test_a_write_that_fails_goes_to_the_next_within_the_call(world: World, state: str) -> None:
    world.set("first", state)
    chain = world.chain()
    selected = begin(chain)
    started = time.monotonic()
    append(selected, [document("a")])
    assert time.monotonic() - started < DEADLINE + 0.5
    assert [(a.backend, a.outcome) for a in selected.trace.attempts] == [
        ("first", "failed"),
        ("second", "used"),
    ]
    assert selected.trace.attempts[0].reason
    check(begin(chain), {"a": stored("a")})
    [entry] = world.chain().ledger.entries()
    assert (entry.owed_to, entry.held_by, entry.run_ids) == ("first", "second", {"a"})


@pytest.fixture
def small_disk(world: World) -> Iterator[Path]:
    """A file system of 256 KiB, below the folder of the first lake."""
    folder = world.folder / "first"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=False)
    if mounted.returncode:
        missing("the right to mount a file system (root)")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_is_full_is_passed_over_and_paid_later(world: World, small_disk: Path) -> None:
    chain = world.chain()
    append(begin(chain), [document("a")])
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(512)):
            pass
    selected = begin(chain)
    append(selected, [document("b")])
    assert [(a.backend, a.outcome) for a in selected.trace.attempts] == [
        ("first", "failed"),
        ("second", "used"),
    ]
    assert "No space left" in (selected.trace.attempts[0].reason or "")
    check(begin(world.chain()), {"a": stored("a"), "b": stored("b")})  # what it has can still be read
    ballast.unlink()
    rested()
    assert reconcile(world.chain()).left == 0
    check(world.lake("first"), {"a": stored("a"), "b": stored("b")})


def test_what_takes_no_writes_is_read_until_it_fails_at_that_too(world: World) -> None:
    chain = world.chain()
    append(begin(chain), [document("a")])
    world.set("first", READ_ONLY)
    append(begin(chain), [document("b")])
    for known in (chain, world.chain()):  # also by the next process
        selected = begin(known)
        check(selected, {"a": stored("a"), "b": stored("b")})
        assert {(a.backend, a.outcome) for a in selected.trace.attempts} == {("first", "used")}
        assert known.preferred.standing.state != "closed"  # writers still pass it over
    world.set("first", REFUSES)
    check(begin(chain), {"b": stored("b")})
    world.set("first", READ_ONLY)
    selected = begin(chain)
    check(selected, {"b": stored("b")})
    assert selected.trace.attempts[0].outcome == "skipped"
    world.set("first", WELL)
    rested()
    check(begin(chain), {"a": stored("a"), "b": stored("b")})
    assert chain.preferred.standing.state == "closed"


def test_what_hangs_is_not_asked_again_at_once_and_let_back_in(world: World) -> None:
    world.set("first", HANGS)
    chain = world.chain()
    append(begin(chain), [document("a")])
    selected = begin(chain)
    started = time.monotonic()
    append(selected, [document("b")])
    assert time.monotonic() - started < DEADLINE / 2
    assert selected.trace.attempts[0].outcome == "skipped"
    assert "left alone" in (selected.trace.attempts[0].reason or "")
    world.set("first", WELL)
    rested()
    append(begin(chain), [document("c")])
    assert "c" in read(world.lake("first"))


def test_another_process_knows_what_hangs(world: World) -> None:
    world.set("first", HANGS)
    append(begin(world.chain()), [document("a")])
    started = time.monotonic()
    append(begin(world.chain()), [document("b")])
    assert time.monotonic() - started < DEADLINE / 2


def test_a_read_that_hangs_goes_to_the_next(world: World) -> None:
    for name in ("first", "second"):
        append(world.lake(name), [document(name)])
    world.set("first", HANGS)
    selected = begin(world.chain())
    started = time.monotonic()
    assert read(selected) == {"second": stored("second")}
    assert time.monotonic() - started < DEADLINE + 0.5
    assert selected.trace.used == "second"


def test_a_read_may_take_its_time_while_the_backend_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(world.lake("first"), [document("a")])
    chain = world.chain()
    lake = chain.preferred.backend()
    paths = lake.files.paths

    def slowly(wanted: list[str]) -> list[str]:
        time.sleep(DEADLINE * 1.5)
        return paths(wanted)

    monkeypatch.setattr(lake.files, "paths", slowly)
    selected = begin(chain)
    assert read(selected) == {"a": stored("a")}
    assert [a.backend for a in selected.trace.attempts] == ["first"]


def test_reads_see_what_is_owed_and_each_run_once(world: World) -> None:
    append(world.lake("first"), [document("a"), document("b", DAYS[1])])
    world.set("first", REFUSES)
    chain = world.chain()
    append(begin(chain), [document("a", DAYS[2], version=1), document("c", DAYS[3])])
    world.set("first", WELL)
    rested()
    wanted = {"a": stored("a", DAYS[2], 1), "b": stored("b", DAYS[1]), "c": stored("c", DAYS[3])}
    selected = begin(chain)
    check(selected, wanted)
    assert selected.trace.used == "first"
    assert selected.days() == [DAYS[0], DAYS[1], DAYS[2], DAYS[3]]
    assert reconcile(chain).runs_copied == 2
    check(begin(chain), wanted)
    check(world.lake("first"), wanted)
    assert chain.ledger.entries() == []


def test_a_holder_that_is_away_is_told_of_and_does_not_fail_the_read(world: World) -> None:
    append(world.lake("first"), [document("a")])
    world.set("first", REFUSES)
    chain = world.chain()
    append(begin(chain), [document("a", version=1), document("b")])
    world.set("first", WELL)
    world.set("second", REFUSES)
    rested()
    selected = begin(chain)
    assert read(selected) == {"a": stored("a")}
    assert "2 runs that it holds for others are not seen" in (selected.trace.attempts[0].reason or "")
    result = reconcile(chain)
    assert (result.struck, result.left) == (0, 1)
    assert "second" in result.problems[0]


def test_the_newest_version_wins_wherever_it_was_stored(world: World) -> None:
    """A, B and A again, each time somewhere else; also where the holder had the last one already."""
    chain = world.chain()
    append(world.lake("second"), [document("a", version=1)])
    append(begin(chain), [document("a", version=2)])
    world.set("first", REFUSES)
    append(begin(chain), [document("a", version=1)])
    world.set("first", WELL)
    rested()
    check(begin(chain), {"a": stored("a", version=1)})
    reconcile(chain)
    check(world.lake("first"), {"a": stored("a", version=1)})
    world.set("first", REFUSES)
    append(begin(chain), [document("a", version=3)])
    world.set("first", WELL)
    rested()
    append(begin(chain), [document("a", version=4)])
    check(begin(chain), {"a": stored("a", version=4)})
    assert chain.ledger.entries() == []


def test_a_newer_version_in_the_preferred_backend_stays(world: World) -> None:
    world.set("first", REFUSES)
    chain = world.chain()
    append(begin(chain), [document("a", version=1)])
    world.set("first", WELL)
    append(world.lake("first"), [document("a", version=2)])  # by somebody with another ledger
    rested()
    assert reconcile(chain).left == 0
    check(begin(chain), {"a": stored("a", version=2)})


def test_a_deletion_reaches_every_backend(world: World) -> None:
    chain = world.chain()
    append(begin(chain), [document("a"), document("b")])
    world.set("first", REFUSES)
    append(begin(chain), [document("c")])
    begin(chain).delete(["a", "c"], Audit("somebody", {"run_id": "a"}, 4))
    world.set("first", WELL)
    rested()
    check(begin(chain), {"b": stored("b")})
    append(begin(chain), [document("a", version=1)])
    check(begin(chain), {"a": stored("a", version=1), "b": stored("b")})
    assert reconcile(chain).left == 0
    check(world.lake("first"), {"a": stored("a", version=1), "b": stored("b")})
    [deletion] = world.lake("first").deletions()
    assert (deletion.actor, deletion.runs_deleted, deletion.issues_deleted) == ("somebody", 2, 4)


def test_ten_dead_backends_cost_one_deadline(tmp_path: Path) -> None:
    names = [f"dead-{n}" for n in range(10)]
    world = World(tmp_path, [*names, "last"])
    for name in names:
        world.set(name, HANGS)
    started = time.monotonic()
    found = look_at(world.chain().members)
    assert time.monotonic() - started < DEADLINE + 0.7
    assert [health.healthy for _, health in found] == [False] * 10 + [True]
    SwitchedLake.states.clear()


def test_where_nobody_is_well_each_says_why(world: World) -> None:
    for name in ("first", "second", "last"):
        world.set(name, REFUSES)
    with pytest.raises(StorageError, match=r"No storage is well: first: .*; second: .*; last: "):
        append(begin(world.chain()), [document("a")])


def test_what_recovers_early_is_found_when_nobody_else_is_left(world: World) -> None:
    for name in ("first", "second", "last"):
        world.set(name, REFUSES)
    chain = world.chain()
    with pytest.raises(StorageError):
        append(begin(chain), [document("a")])
    world.set("last", WELL)
    append(begin(chain), [document("a")])
    check(begin(chain), {"a": stored("a")})


def test_rejected_deliveries_are_seen_wherever_they_were_kept(world: World) -> None:
    from resources.contract import Rejection

    chain = world.chain()
    begin(chain).reject([Rejection("one.json", b"{", "$", "not JSON")])
    world.set("first", REFUSES)
    begin(chain).reject([Rejection("two.json", b"[", "$", "not JSON")])
    world.set("first", WELL)
    rested()
    selected = begin(chain)
    found = selected.rejected()
    assert [r.source for r in found] == ["one.json", "two.json"]
    assert [selected.rejected_bytes(r) for r in found] == [b"{", b"["]
    selected.take_rejected([found[1].rejected_id])
    assert [r.source for r in begin(chain).rejected()] == ["one.json"]


def test_replicas_get_every_batch_and_stand_in(tmp_path: Path) -> None:
    world = World(tmp_path, ["first", "replica", "last"], first={"replicate_to": ["replica"]})
    chain = world.chain()
    append(begin(chain), [document("a")])
    [entry] = chain.ledger.entries()
    assert (entry.owed_to, entry.held_by) == ("replica", "first")
    check(begin(chain), {"a": stored("a")})
    reconcile(chain)
    check(world.lake("replica"), {"a": stored("a")})
    world.set("first", REFUSES)
    check(begin(chain), {"a": stored("a")})
    append(begin(chain), [document("b")])
    [entry] = chain.ledger.entries()
    assert (entry.owed_to, entry.held_by) == ("first", "replica")
    world.set("first", WELL)
    rested()
    reconcile(chain)
    for name in ("first", "replica"):
        check(world.lake(name), {"a": stored("a"), "b": stored("b")})
    SwitchedLake.states.clear()


def test_a_page_is_limited_by_the_database_and_whole_where_others_hold_something(tmp_path: Path) -> None:
    """The database finds the page by an index while nobody holds anything for it; else all is united."""
    folder = tmp_path / "remote"
    config = {
        "storage_config": {
            "fsspec": {"url": str(folder), "priority": 1, "health_check_interval": 0},
            "sqlite": {"database_path": str(tmp_path / "issues.db")},
            "local_file": {"storage_path": str(tmp_path / "lake")},
        }
    }

    def ask(**document: object) -> dict[str, object]:
        answer = run({**document, **config})
        assert answer["success"], answer
        return answer

    config["storage_config"]["sqlite"]["priority"] = 0
    ask(issues=document("a"))
    assert page(ask(operation="get_issues", query={"limit": 1})) == (2, 2, ["a v0 #0"])
    config["storage_config"]["sqlite"]["priority"] = 2
    folder.write_text("in the way")
    ask(issues=document("b", DAYS[1], issues=3))
    folder.unlink()
    query = {"limit": 1, "severity": ["high"]}
    assert page(ask(operation="get_issues", query=query)) == (3, 1, ["b v0 #1"])
    config["storage_config"]["sqlite"]["priority"] = 0
    assert page(ask(operation="get_issues", query=query)) == (5, 2, ["b v0 #1"])


def page(answer: dict[str, object]) -> tuple[object, object, list[str]]:
    data = answer["issues_data"]
    assert isinstance(data, dict)
    return data["total_count"], data["filtered_count"], [i["description"] for i in data["issues"]]


def test_a_write_that_was_given_up_does_not_become_the_latest(world: World) -> None:
    """It wakes up when newer versions are elsewhere, and a run that it has was deleted."""
    world.set("first", HANGS)
    chain = world.chain()
    append(begin(chain), [document("a"), document("gone")])
    append(begin(chain), [document("a", version=1)])
    begin(chain).delete(["gone"])
    world.set("first", WELL)
    rested()
    wanted = {"a": stored("a", version=1)}
    check(begin(chain), wanted)
    assert reconcile(chain).left == 0
    check(world.lake("first"), wanted)


def test_what_hangs_in_opening_keeps_nobody_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    opens = SwitchedLake.open
    hangs = Event()

    def slowly(settings: SwitchedLake) -> Lake:
        if settings.name == "first":
            hangs.wait()
        return opens(settings)

    monkeypatch.setattr(SwitchedLake, "open", slowly)
    chain = world.chain()
    append(begin(chain), [document("a")])
    started = time.monotonic()
    append(begin(chain), [document("b")])
    assert time.monotonic() - started < DEADLINE / 2
    monkeypatch.setattr(SwitchedLake, "open", opens)  # while the first one hangs on
    rested()
    append(begin(chain), [document("c")])
    assert read(world.lake("first")) == {"c": stored("c")}
    hangs.set()
