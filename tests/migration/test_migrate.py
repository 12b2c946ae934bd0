"""What a migration promises beyond that everything arrives: it goes on, it keeps its head, it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.migration import Amount, NotTheSame, comparing, copying, migrate, rounds
from resources.backend import Backend
from resources.backends.sql.selecting import run_key
from resources.backends.sql.settings import Sqlite
from resources.errors import StorageError
from resources.files import LocalFiles
from resources.lake import Lake, layout
from resources.lake.marks import Deletion
from resources.lake.verdict import Appended
from tests.backends.contract import append_copy
from tests.lake.state import DAYS, NOW, append, check, document, read, stored
from tests.migration.places import everything, furnish


@pytest.fixture
def source(tmp_path: Path) -> Lake:
    return Lake(LocalFiles(tmp_path / "source"))


@pytest.fixture(params=["lake", "database"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "lake":
        return Lake(LocalFiles(tmp_path / "target"))
    return Sqlite(database_path=str(tmp_path / "target.db")).open()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Portions of a day, chunks of two runs."""
    monkeypatch.setattr(comparing, "PORTION_RUNS", 1)
    monkeypatch.setattr(copying, "CHUNK_RUNS", 2)


class Broken(Exception):
    pass


@pytest.mark.usefixtures("small")
def test_it_goes_on_after_any_call_that_fails(
    source: Lake, target: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call that changes the target, or removes from the source, fails once."""
    furnish(source)
    before = everything(source)
    failures = 0
    for number in range(200):
        calls = iter(range(number + 1))

        def failing(call: Callable[..., Any], calls: Any = calls) -> Callable[..., Any]:
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                if next(calls, None) is None:
                    raise Broken
                return call(*args, **kwargs)

            return wrapped

        with monkeypatch.context() as patched:
            for backend, name in ((target, "append"), (target, "record"), (source, "record")):
                patched.setattr(backend, name, failing(getattr(backend, name)))
            for files, name in ((target.files, "publish"), (source.files, "remove")):
                patched.setattr(files, name, failing(getattr(files, name)))
            try:
                migrate(source, target, "a tester", move=True)
                break
            except Broken:
                failures += 1
    assert failures > 8
    assert everything(target) == before
    assert read(source) == {}


def test_a_day_that_agrees_is_not_written_again(
    source: Lake, target: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(source, [document("a"), document("b", DAYS[1])])
    migrate(source, target, "a tester")
    append(source, [document("c", DAYS[1])])
    stored_again = []
    kept = target.append
    monkeypatch.setattr(
        target, "append", lambda r, i: stored_again.extend(r["validation_run_id"].to_pylist()) or kept(r, i)
    )
    done = migrate(source, target, "a tester")
    assert stored_again == ["c"]
    assert (done.days, done.days_skipped, done.copied) == (2, 1, Amount(1, 2))


def test_what_the_target_has_besides_stays(source: Lake, target: Backend) -> None:
    append(source, [document("both", version=1), document("same"), document("theirs")])
    append_copy(target, document("both", version=2), datetime.now(UTC) + timedelta(hours=1))
    append(target, [document("same"), document("own")])
    done = migrate(source, target, "a tester")
    assert (done.copied.runs, done.newer_in_target, done.deleted_in_target) == (1, 1, 0)
    own = {i: stored(i) for i in ("same", "own", "theirs")}
    check(target, own | {"both": stored("both", version=2)})


def test_an_older_run_of_the_target_is_replaced(source: Lake, target: Backend) -> None:
    append_copy(target, document("a", DAYS[2], version=1), datetime(2025, 3, 9, tzinfo=UTC))
    append(source, [document("a", version=2)])
    migrate(source, target, "a tester")
    check(target, {"a": stored("a", version=2)})


def test_what_was_deleted_in_the_target_stays_deleted_and_is_not_moved(source: Lake, target: Backend) -> None:
    append(source, [document("a"), document("b")])
    migrate(source, target, "a tester")
    target.delete(["a"])
    done = migrate(source, target, "a tester", move=True)
    assert (done.copied.runs, done.deleted_in_target, done.removed.runs) == (0, 1, 1)
    check(target, {"b": stored("b")})
    check(source, {"a": stored("a")})


def test_what_was_deleted_in_the_source_since_goes(source: Lake, target: Backend) -> None:
    append(source, [document("a"), document("b", DAYS[1])])
    migrate(source, target, "a tester")
    source.delete(["b"])
    assert migrate(source, target, "a tester").deletions == 1
    check(target, {"a": stored("a")})


def test_there_and_back_again(source: Lake, target: Backend) -> None:
    furnish(source)
    before = everything(source)
    migrate(source, target, "a mover", move=True)
    back = migrate(target, source, "a mover", move=True)
    assert back.removed.runs == len(before["runs"])
    after = everything(source)
    assert read(target) == {}
    assert after["bytes"] == before["bytes"]
    assert [run["validation_run_id"] for run in after["runs"]] == [
        run["validation_run_id"] for run in before["runs"]
    ]
    assert after["issues"] == before["issues"]


@pytest.mark.parametrize("change", ["a run comes", "a run changes", "a run goes", "all the time"])
def test_what_arrives_meanwhile_is_copied_or_reported(
    source: Lake, target: Backend, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    append(source, [document("a"), document("b", DAYS[1])])
    kept = target.append
    calls = []

    def meanwhile(*args: Any) -> Any:
        calls.append(args)
        if change == "a run comes" and len(calls) == 1:
            append(source, [document("c", DAYS[2])])
        elif change == "a run changes" and len(calls) == 1:
            append(source, [document("a", DAYS[3], version=1)])
        elif change == "a run goes" and len(calls) == 1:
            source.delete(["b"])
        elif change == "all the time":
            append(source, [document("a", DAYS[0], version=len(calls))])
        return kept(*args)

    monkeypatch.setattr(target, "append", meanwhile)
    done = migrate(source, target, "a tester", move=True)
    if change == "all the time":
        assert done.still_changing == [DAYS[0]]
        assert set(read(source)) == {"a"}, "what was not compared stays"
        check(target, read(source) | {"b": stored("b", DAYS[1])} | {"a": read(target)["a"]})
    else:
        assert done.still_changing == []
        assert read(source) == {}
        wanted = {
            "a run comes": {"a": stored("a"), "b": stored("b", DAYS[1]), "c": stored("c", DAYS[2])},
            "a run changes": {"a": stored("a", DAYS[3], 1), "b": stored("b", DAYS[1])},
            "a run goes": {"a": stored("a")},
        }
        check(target, wanted[change])


def test_a_run_that_comes_while_the_others_leave_stays(
    source: Lake, target: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(source, [document("a")])
    kept = source.record

    def meanwhile(*args: Any) -> None:
        append(source, [document("a", version=1), document("b")])
        kept(*args)

    monkeypatch.setattr(source, "record", meanwhile)
    migrate(source, target, "a tester", move=True)
    check(source, {"a": stored("a", version=1), "b": stored("b")})


def test_a_day_that_changes_before_it_is_removed_stays_and_is_told(
    source: Lake, target: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(source, [document("a"), document("b", DAYS[1])])
    kept = rounds.carry_over

    def meanwhile(*args: Any) -> Any:
        append(source, [document("c")])
        return kept(*args)

    monkeypatch.setattr(rounds, "carry_over", meanwhile)
    done = migrate(source, target, "a tester", move=True)
    assert (done.still_changing, done.removed.runs) == ([DAYS[0]], 1)
    check(source, {"a": stored("a"), "c": stored("c")})
    monkeypatch.undo()
    done = migrate(source, target, "a tester", move=True)
    assert (done.still_changing, done.copied.runs, done.removed.runs) == ([], 1, 2)
    check(target, {"a": stored("a"), "b": stored("b", DAYS[1]), "c": stored("c")})


def test_a_target_that_loses_something_is_found_out(
    source: Lake, target: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(source, [document(f"r{n}", issues=5) for n in range(4)])
    kept = target.append

    def lossy(runs: Any, issues: Any) -> Any:
        at = issues["description"].to_pylist().index("r2 v0 #3")
        descriptions = issues["description"].to_pylist()
        descriptions[at] = "another"
        place = issues.column_names.index("description")
        return kept(runs, issues.set_column(place, "description", [descriptions]))

    monkeypatch.setattr(target, "append", lossy)
    with pytest.raises(NotTheSame, match=r"does not answer 1 runs as .* does \('r2'\)"):
        migrate(source, target, "a tester", move=True)
    check(source, {f"r{n}": stored(f"r{n}", issues=5) for n in range(4)})


def test_an_earlier_deletion_is_no_excuse(
    source: Lake, target: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(source, [document("a")])
    long_ago = datetime(2025, 3, 1, tzinfo=UTC)
    target.record(Deletion("0" * 32, long_ago, "somebody", None, 1, 2), {"a": long_ago})
    monkeypatch.setattr(target, "append", lambda *_: Appended())
    with pytest.raises(NotTheSame, match="does not answer 1 runs"):
        migrate(source, target, "a tester", move=True)
    check(source, {"a": stored("a")})


def test_a_copy_that_was_under_way_when_another_migration_brought_its_deletion(
    source: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database has then seen the deletion before the copy; a lake would hide it all the same."""
    append(source, [document("a"), document("b")])
    target = Sqlite(database_path=str(tmp_path / "target.db")).open()
    kept = target.append

    def meanwhile(*args: Any) -> Any:
        source.delete(["b"])
        [deletion] = source.deletions()
        appended = kept(*args)
        with monkeypatch.context() as patched:
            patched.setattr(target, "_remove", lambda *_: 0)
            target.record(deletion, source.deleted_runs(deletion.audit_id))
        return appended

    monkeypatch.setattr(target, "append", meanwhile)
    migrate(source, target, "a tester")
    check(target, {"a": stored("a")})


def test_a_target_that_loses_some_is_found_out(
    source: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(source, [document(f"r{n}", DAYS[n]) for n in range(4)])
    target = Sqlite(database_path=str(tmp_path / "issues.db")).open()
    kept = target.append

    def lossy(*args: Any) -> Any:
        appended = kept(*args)
        target._session.write("lose a run of", lambda c: target._remove(c, [run_key("r0")]))
        return appended

    monkeypatch.setattr(target, "append", lossy)
    with pytest.raises(NotTheSame, match="'r0'"):
        migrate(source, target, "a tester", move=True)
    assert len(read(source)) == 4


def test_a_source_at_odds_with_itself_is_not_copied(source: Lake, target: Backend) -> None:
    append(source, [document("a", issues=3)])
    append(source, [document("b", issues=2)])
    [first, second] = sorted(layout.data_files(source.files), key=lambda f: f.size)
    torn = source.files.read(second.issues_path)
    source.files.remove(first.issues_path)
    source.files.publish(first.issues_path, torn)
    with pytest.raises(NotTheSame, match="2 runs count other issues than are stored"):
        migrate(source, target, "a tester")


def test_a_rejected_delivery_leads_nowhere_else(source: Lake, target: Backend) -> None:
    """The path of its bytes comes out of the source, which may be anybody's."""
    from assets import ingest
    from resources.contract import Delivery
    from resources.lake import rejected

    ingest.store_deliveries(source, [Delivery("a.json", b"{")])
    [kept] = source.rejected()
    folder = kept.path.rpartition("/")[0]
    source.files.publish("rejected/elsewhere", b"{")
    rows = rejected.table(source.files).to_pylist()
    rows[0]["path"] = f"{folder}/../elsewhere"
    import pyarrow as pa

    from resources.lake.parquet import encode
    from resources.schema import arrow_schema

    table = pa.Table.from_pylist(rows, arrow_schema(rejected.COLUMNS))
    source.files.publish(f"{folder}/reasons.parquet", encode(table, key=None), renew=True)
    with pytest.raises(StorageError, match="elsewhere"):
        migrate(source, target, "a tester")


def test_a_dry_run_changes_nothing(source: Lake, target: Backend) -> None:
    furnish(source)
    before = everything(source)
    empty = everything(target)
    done = migrate(source, target, "a tester", dry_run=True)
    assert done.copied == done.found == Amount(len(before["runs"]), len(before["issues"]))
    assert (everything(source), everything(target)) == (before, empty)
    assert done.removed.runs == 0


def test_how_far_it_is(source: Lake, target: Backend) -> None:
    append(source, [document(f"r{n}", DAYS[n % 3], issues=n) for n in range(6)])
    for _ in range(2):  # also where nothing is to be done
        told: list[tuple[int, int, int, int]] = []
        migrate(
            source,
            target,
            "a tester",
            progress=lambda done, all: told.append((done.runs, done.issues, all.runs, all.issues)),  # noqa: B023
        )
        assert told[-1] == (6, 15, 6, 15)
        assert told == sorted(told)


@pytest.mark.usefixtures("small")
def test_runs_larger_than_a_chunk(source: Lake, target: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "CHUNK_ISSUES", 100)
    monkeypatch.setattr(copying, "CHUNK_BYTES", 5_000)
    wanted = {f"r{n}": stored(f"r{n}", issues=70 * n) for n in range(6)}
    append(source, [document(i, issues=len(run.issues)) for i, run in wanted.items()])
    migrate(source, target, "a tester")
    check(target, wanted)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["store", "store there", "delete", "delete there", "migrate", "back", "compact"]),
        st.sampled_from("abc"),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_after_any_history_both_sides_agree(
    steps: list[tuple[str, str, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever happened on either side, copying both ways makes them the same, and twice is once."""
    folder = tmp_path_factory.mktemp("both")
    sides: tuple[Backend, Backend] = (
        Lake(LocalFiles(folder / "lake")),
        Sqlite(database_path=str(folder / "issues.db"), synchronous="OFF").open(),
    )
    for what, run_id, day, version in steps:
        if what in ("store", "store there"):
            append(sides[what == "store there"], [document(run_id, DAYS[day], version)])
        elif what in ("delete", "delete there"):
            sides[what == "delete there"].delete([run_id])
        elif what == "compact":
            sides[0].maintain(NOW)
        else:
            first, second = sides if what == "migrate" else sides[::-1]
            migrate(first, second, "a tester")
    migrate(sides[0], sides[1], "a tester")
    migrate(sides[1], sides[0], "a tester")
    states = [read(side) for side in sides]
    assert states[0] == states[1]
    assert [replace(d, audit_id="") for d in sides[0].deletions()] == [
        replace(d, audit_id="") for d in sides[1].deletions()
    ]
    assert migrate(sides[0], sides[1], "a tester").copied.runs == 0
    assert [read(side) for side in sides] == states
