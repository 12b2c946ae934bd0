"""What every lake promises, whatever storage it stands on.

A storage's module derives from `LakeContract`, supplies the fixture `place` and declares by name,
among its class attributes, where it deviates.
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import duckdb
import polars as pl
import pyarrow.dataset
import pytest

from assets import deletion, ingest
from assets.query import Query
from resources import files
from resources.config import Storage as Selected
from resources.contract import Delivery
from resources.errors import Vanished
from resources.files import Files, open_files
from resources.lake import Lake, index, layout
from tests.lake.state import DAYS, NOW, State, append, check, document, read, stored
from tests.servers import Storage

HOSTILE_IDS = (
    "plain",
    "a/b",
    "../../etc/passwd",
    "..",
    ".",
    "/absolute",
    "C:\\windows",
    "nul\0inside",
    "two\nlines",
    'it\'s "quoted" -- ; DROP TABLE runs',
    "%2e%2e%2f{}?*[x]",
    "  spaces  ",
    "ünï-☃-𝕏-\u202e",
    "é",  # precomposed …
    "e\u0301",  # … and not: two different ids
    "x" * 10_000,
    "",
)


class LakeContract:
    writers: ClassVar[int] = 4
    """How many write side by side."""

    @pytest.fixture
    def place(self) -> Storage:
        raise NotImplementedError("each storage says where")

    @pytest.fixture
    def lake(self, place: Storage) -> Lake:
        return self.another(place)

    def another(self, place: Storage) -> Lake:
        """A lake at the same place that shares nothing in this process with the others."""
        return Lake(open_files(place.url, place.options))

    # --- storing -----------------------------------------------------------------------------------

    def test_an_empty_place_is_an_empty_lake(self, lake: Lake) -> None:
        check(lake, {})
        assert lake.days() == []
        assert lake.rejected() == []
        assert lake.maintain(NOW).days == []

    def test_every_column_comes_back_as_it_was(self, lake: Lake) -> None:
        run = {
            "validation_run_id": "r",
            "timestamp": "2025-03-01T23:30:00.123456-02:00",
            "target_plugin": "pluginé",
            "change_type": "modified",
            "pipeline_score": 0,
            "metadata": {"b": [1, 2.5, None], "a": {"nested": True}},
            "unnamed": {"at": "the top"},
            "issues_list": [
                {
                    "severity": "low",
                    "description": "tab\tand\nline",
                    "category": "c",
                    "file_path": "a/b.py",
                    "recommendation": "",
                    "details": {"rule": "E501", "line": 7},
                    "unnamed": [1],
                },
                {"severity": "critical", "description": ""},
            ],
        }
        before = datetime.now(UTC)
        assert append(lake, [run]).issues_stored == 2
        runs, issues = lake.reading(
            lambda c: (rows(c, "SELECT * FROM runs"), rows(c, "SELECT * FROM issues ORDER BY issue_index"))
        )
        [kept] = runs
        assert before <= kept.pop("stored_at") <= datetime.now(UTC)
        assert len(kept.pop("batch_id")) == 32
        assert len(kept.pop("content_hash")) == 32
        moment = datetime(2025, 3, 2, 1, 30, 0, 123456, UTC)
        assert kept == {
            "validation_run_id": "r",
            "timestamp": moment,
            "target_plugin": "pluginé",
            "change_type": "modified",
            "pipeline_score": 0,
            "metadata": '{"a":{"nested":true},"b":[1,2.5,null]}',
            "critical_issues": 1,
            "high_issues": 0,
            "medium_issues": 0,
            "low_issues": 1,
            "source": "test.json",
            "extra": '{"unnamed":{"at":"the top"}}',
            "run_date": date(2025, 3, 2),
        }
        low, critical = issues
        assert low.pop("fingerprint") != critical.pop("fingerprint")
        assert low.pop("batch_id") == critical.pop("batch_id")
        shared = {
            "validation_run_id": "r",
            "timestamp": moment,
            "target_plugin": "pluginé",
            "run_date": date(2025, 3, 2),
        }
        assert low == shared | {
            "issue_index": 0,
            "category": "c",
            "severity": "low",
            "description": "tab\tand\nline",
            "file_path": "a/b.py",
            "recommendation": "",
            "details": '{"line":7,"rule":"E501"}',
            "extra": '{"unnamed":[1]}',
        }
        assert critical == shared | {
            "issue_index": 1,
            "category": None,
            "severity": "critical",
            "description": "",
            "file_path": None,
            "recommendation": None,
            "details": None,
            "extra": None,
        }

    def test_severities_are_ordered_from_the_worst(self, lake: Lake) -> None:
        append(lake, [document("r", issues=8)])
        ordered = lake.reading(lambda c: rows(c, "SELECT DISTINCT severity FROM issues ORDER BY severity"))
        assert [row["severity"] for row in ordered] == ["critical", "high", "medium", "low"]

    def test_stored_again_is_a_duplicate(self, lake: Lake, place: Storage) -> None:
        assert append(lake, [document("a"), document("b")]).runs_stored == 2
        for again in (lake, self.another(place)):
            appended = append(again, [document("a"), document("b")])
            assert (appended.runs_stored, appended.duplicates, appended.days) == (0, 2, set())
        mixed = append(lake, [document("b"), document("c"), document("c")])
        assert (mixed.runs_stored, mixed.duplicates) == (1, 2)
        check(lake, {i: stored(i) for i in "abc"})

    def test_the_latest_content_wins(self, lake: Lake, place: Storage) -> None:
        for version in range(4):
            append(lake, [document("a", version=version, issues=version)])
            check(lake, {"a": stored("a", version=version, issues=version)})
        check(self.another(place), {"a": stored("a", version=3, issues=3)})

    def test_the_last_in_a_batch_wins(self, lake: Lake) -> None:
        appended = append(lake, [document("a", version=v) for v in (1, 2, 1, 3)])
        assert appended.runs_stored + appended.duplicates == 4
        check(lake, {"a": stored("a", version=3)})

    def test_a_then_b_then_a_again(self, lake: Lake) -> None:
        for version in (1, 2, 1, 2, 1):
            assert append(lake, [document("a", version=version)]).runs_stored == 1
            check(lake, {"a": stored("a", version=version)})
        lake.compact_day(DAYS[0], NOW)
        check(lake, {"a": stored("a", version=1)})

    def test_a_corrected_timestamp_moves_the_run(self, lake: Lake, place: Storage) -> None:
        append(lake, [document("a"), document("b")])
        for day in (DAYS[3], DAYS[1], DAYS[0], DAYS[3], DAYS[2]):
            append(lake, [document("a", day)])
            wanted = {"a": stored("a", day), "b": stored("b")}
            check(lake, wanted)
            check(self.another(place), wanted)
        lake.maintain(NOW)
        check(self.another(place), wanted)

    def test_a_clean_run_is_a_run(self, lake: Lake) -> None:
        append(lake, [document("clean", issues=0)])
        check(lake, {"clean": stored("clean", issues=0)})
        append(lake, [document("clean", issues=3, version=1)])
        append(lake, [document("clean", issues=0, version=2)])
        lake.compact_day(DAYS[0], NOW)
        check(lake, {"clean": stored("clean", issues=0, version=2)})

    def test_hostile_ids(self, lake: Lake) -> None:
        append(lake, [document(i) for i in HOSTILE_IDS])
        wanted = {i: stored(i) for i in HOSTILE_IDS}
        check(lake, wanted)
        assert append(lake, [document(i) for i in HOSTILE_IDS]).duplicates == len(HOSTILE_IDS)
        moved = HOSTILE_IDS[::2]
        append(lake, [document(i, DAYS[1], version=1) for i in moved])
        wanted |= {i: stored(i, DAYS[1], version=1) for i in moved}
        check(lake, wanted)
        lake.maintain(NOW)
        check(lake, wanted)
        lake.delete(HOSTILE_IDS[:8])
        wanted = {i: run for i, run in wanted.items() if i not in HOSTILE_IDS[:8]}
        check(lake, wanted)
        lake.maintain(NOW)
        check(lake, wanted)

    def test_several_days_in_a_batch(self, lake: Lake) -> None:
        appended = append(lake, [document(f"r{n}", DAYS[n % 6], issues=n % 4) for n in range(30)])
        assert appended.days == set(DAYS)
        assert lake.days() == DAYS
        check(lake, {f"r{n}": stored(f"r{n}", DAYS[n % 6], issues=n % 4) for n in range(30)})

    # --- deleting ----------------------------------------------------------------------------------

    def test_a_deletion_hides_at_once_and_compaction_removes(self, lake: Lake, place: Storage) -> None:
        append(lake, [document("secret"), document("kept")])
        append(lake, [document("secret", DAYS[1], version=1)])
        append(lake, [document("alone", DAYS[2])])
        lake.delete(["secret", "alone", "never stored"])
        wanted = {"kept": stored("kept")}
        check(lake, wanted)
        check(self.another(place), wanted)
        lake.maintain(NOW)
        check(self.another(place), wanted)
        for entry in lake.files.find(layout.RUNS) + lake.files.find(layout.ISSUES):
            ids = pl.read_parquet(lake.files.read(entry.path))["validation_run_id"].to_list()
            assert set(ids) == {"kept"}, entry.path

    def test_deleted_then_stored_again(self, lake: Lake) -> None:
        for compacting in (False, True):
            append(lake, [document("a"), document("b")])
            lake.delete(["a"])
            check(lake, {"b": stored("b")})
            if compacting:
                lake.compact_day(DAYS[0], NOW)
            assert append(lake, [document("a")]).runs_stored == 1
            check(lake, {"a": stored("a"), "b": stored("b")})

    def test_a_deletion_by_query(self, lake: Lake, place: Storage) -> None:
        wanted = fill(lake)
        chosen = {i for i, run in wanted.items() if DAYS[0] <= run.day <= DAYS[1]}
        query = {"date_from": str(DAYS[0]), "date_to": str(DAYS[1])}
        issues = sum(len(wanted[i].issues) for i in chosen)
        counts = {"runs_deleted": len(chosen), "issues_deleted": issues}
        files = everything(lake)
        answer = delete(lake, dry_run=True, **query)
        assert answer["issues_data"] == counts | {"dry_run": True, "audit_id": None}
        assert answer["operation_result"]["records_affected"] == 0
        assert everything(lake) == files
        check(lake, wanted)
        answer = delete(lake, **query)
        audit_id = answer["issues_data"].pop("audit_id")
        assert answer["issues_data"] == counts | {"dry_run": False}
        assert answer["operation_result"]["records_affected"] == len(chosen)
        wanted = {i: run for i, run in wanted.items() if i not in chosen}
        for reader in (lake, self.another(place)):
            check(reader, wanted)
        again = delete(lake, **query)["issues_data"]
        assert again == {"runs_deleted": 0, "issues_deleted": 0, "dry_run": False, "audit_id": None}
        lake.maintain(NOW)
        check(self.another(place), wanted)
        *_, last = self.another(place).deletions()
        assert (last.audit_id, last.actor, last.query) == (audit_id, "a tester", query)
        assert (last.runs_deleted, last.issues_deleted) == (len(chosen), issues)
        assert abs(datetime.now(UTC) - last.deleted_at) < timedelta(minutes=5)

    def test_every_run_can_be_deleted(self, lake: Lake) -> None:
        append(lake, [document("a"), document("b", DAYS[1])])
        assert delete(lake, all=True)["issues_data"]["runs_deleted"] == 2
        check(lake, {})
        lake.maintain(NOW)
        assert not lake.files.find(layout.RUNS) + lake.files.find(layout.ISSUES)
        assert [d.query for d in lake.deletions()] == [{"all": True}]
        assert append(lake, [document("a")]).runs_stored == 1
        check(lake, {"a": stored("a")})

    @pytest.mark.parametrize("compacted", [False, True])
    def test_the_bytes_of_what_was_deleted_go(
        self, lake: Lake, monkeypatch: pytest.MonkeyPatch, compacted: bool
    ) -> None:
        """After the next compaction past the grace period no file has them any more."""
        marker = "correct horse battery staple"
        issue = {"severity": "high", "description": f"token {marker}", "file_path": marker}
        secret = document("secret") | {"metadata": {"a": marker}, "issues_list": [issue]}
        append(lake, [secret, document("kept")])
        append(lake, [document("also kept")])
        moved = secret | {"timestamp": f"{DAYS[1]}T12:00:00Z"}  # a copy stays on the first day
        append(lake, [moved, document("kept there", DAYS[1])])
        if compacted:
            lake.maintain(NOW)
        assert holding(lake, marker)
        delete(lake, run_id="secret")
        wanted = {i: stored(i) for i in ("kept", "also kept")} | {"kept there": stored("kept there", DAYS[1])}
        lake.maintain(timedelta(hours=1))
        check(lake, wanted)
        assert holding(lake, marker), "readers who began before may still be at it"
        with monkeypatch.context() as patched:
            later = SimpleNamespace(time=lambda: time.time() + 2 * 3600)
            patched.setattr("resources.lake.compact.time", later)
            lake.maintain(timedelta(hours=1))
        assert not holding(lake, marker)
        check(lake, wanted)

    def test_deleted_by_a_clock_that_is_behind(self, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("resources.lake.write.datetime", clock(timedelta(hours=3)))
            append(lake, [document("a")])
        append(lake, [document("a", version=1)])
        check(lake, {"a": stored("a", version=1)})
        lake.delete(["a"])
        check(lake, {})
        with monkeypatch.context() as patched:
            patched.setattr("resources.lake.write.datetime", clock(timedelta(hours=-3)))
            append(lake, [document("a", version=2)])
        check(lake, {"a": stored("a", version=2)})

    # --- compacting --------------------------------------------------------------------------------

    def test_compaction_changes_no_row(self, lake: Lake, place: Storage) -> None:
        wanted = fill(lake)
        everything = ("SELECT * FROM runs ORDER BY ALL", "SELECT * FROM issues ORDER BY ALL")
        before = [lake.reading(partial(rows, query=q)) for q in everything]
        maintained = lake.maintain(NOW)
        assert all(c.files_after <= 1 for c in maintained.days)
        assert sum(c.runs for c in maintained.days) == len(wanted)
        for reader in (lake, self.another(place)):
            assert [reader.reading(partial(rows, query=q)) for q in everything] == before
            check(reader, wanted)
        for table in (layout.RUNS, layout.ISSUES):
            days = [f.day for f in layout.data_files(lake.files, table=table)]
            assert days == sorted({run.day for run in wanted.values()})
        again = lake.maintain(NOW)
        assert not any(c.written for c in again.days)

    def test_any_engine_reads_a_compact_lake(self, lake: Lake, tmp_path: Path) -> None:
        wanted = fill(lake)
        lake.maintain(NOW)
        for entry in lake.files.find(layout.RUNS) + lake.files.find(layout.ISSUES):
            copy = tmp_path / entry.path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(lake.files.read(entry.path))
        for table, count in (
            (layout.RUNS, len(wanted)),
            (layout.ISSUES, sum(len(run.issues) for run in wanted.values())),
        ):
            pattern = f"{tmp_path}/{table}/**/*.parquet"
            by_duckdb = duckdb.read_parquet(pattern, hive_partitioning=True).pl()
            by_polars = pl.read_parquet(pattern, hive_partitioning=True)
            by_arrow = pyarrow.dataset.dataset(tmp_path / table, partitioning="hive").to_table()
            for frame in (by_duckdb, by_polars, pl.DataFrame(by_arrow)):
                assert len(frame) == count
                pairs = frame.select("validation_run_id", pl.col("run_date").cast(pl.String)).unique()
                assert set(pairs.iter_rows()) == {
                    (run_id, run.day.isoformat())
                    for run_id, run in wanted.items()
                    if table == layout.RUNS or run.issues
                }

    def test_the_grace_period_is_respected(self, lake: Lake) -> None:
        append(lake, [document("a"), document("b")])
        append(lake, [document("a", version=1)])
        append(lake, [document("moved", DAYS[1])])
        append(lake, [document("moved", DAYS[2])])
        wanted = {"a": stored("a", version=1), "b": stored("b"), "moved": stored("moved", DAYS[2])}
        before = {e.path for e in lake.files.find(layout.RUNS) + lake.files.find(layout.ISSUES)}
        for _ in range(2):
            lake.maintain(timedelta(hours=1))
            kept = {e.path for e in lake.files.find(layout.RUNS) + lake.files.find(layout.ISSUES)}
            assert before <= kept
            check(lake, wanted)
        lake.maintain(NOW)
        assert len(lake.files.find(layout.RUNS)) == 2
        check(lake, wanted)

    # --- rejected deliveries -----------------------------------------------------------------------

    def test_rejected_deliveries(self, lake: Lake, place: Storage) -> None:
        broken = {f"in/b {n}.json": b'{"broken": %d' % n for n in range(3)}
        for _ in range(2):  # the same again changes nothing
            refused = ingest.store_deliveries(lake, [Delivery(s, raw) for s, raw in broken.items()])
            assert (refused.runs_stored, refused.runs_rejected) == (0, 3)
        waiting = self.another(place).rejected()
        assert {r.source: lake.files.read(r.path) for r in waiting} == broken
        first, *others = waiting
        assert (first.pointer, first.bytes, first.position) == ("$", len(broken[first.source]), None)
        lake.take_rejected([first.rejected_id, "unknown"])
        lake.take_rejected([first.rejected_id])
        assert self.another(place).rejected() == others
        with pytest.raises(Vanished):
            lake.files.read(first.path)
        ingest.store_deliveries(lake, [Delivery(first.source, broken[first.source])])
        anew = self.another(place).rejected()
        assert {r.rejected_id for r in anew} == {r.rejected_id for r in waiting}
        assert {r.source: lake.files.read(r.path) for r in anew} == broken
        lake.take_rejected([r.rejected_id for r in anew])
        assert self.another(place).rejected() == []
        assert read(lake) == {}

    def test_what_was_refused_is_kept_with_what_was_stored(self, lake: Lake) -> None:
        lines = [json.dumps(document("a")), "{", json.dumps(document("b"))]
        raw = "\n".join(lines).encode()
        result = ingest.store_deliveries(lake, [Delivery("runs.ndjson", raw)])
        assert (result.runs_stored, result.runs_rejected) == (2, 1)
        check(lake, {i: stored(i) for i in "ab"})
        [rejected] = lake.rejected()
        assert (rejected.position, lake.files.read(rejected.path)) == (2, b"{")

    # --- many runs, many writers -------------------------------------------------------------------

    def test_index_segments_change_no_answer(
        self, lake: Lake, place: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(index, "FILES_PER_SEGMENT", 2)
        monkeypatch.setattr(index, "SEGMENTS", 2)
        wanted: State = {}
        for n in range(9):
            ids = [f"r{n}", f"r{n // 2}"]
            append(lake, [document(i, DAYS[n % 6], version=n) for i in ids])
            wanted |= {i: stored(i, DAYS[n % 6], version=n) for i in ids}
        assert lake.files.find(layout.INDEX)
        check(lake, wanted)
        for writer in (lake, self.another(place)):
            again = append(writer, [document(i, run.day, run.version) for i, run in wanted.items()])
            assert (again.runs_stored, again.duplicates) == (0, len(wanted))
        lake.maintain(NOW)
        assert len(lake.files.find(layout.INDEX)) == 1
        fresh = self.another(place)
        assert append(fresh, [document("r0", DAYS[5], version=99)]).runs_stored == 1
        check(lake, wanted | {"r0": stored("r0", DAYS[5], version=99)})

    @pytest.mark.parametrize("shared", [True, False], ids=["one lake", "a lake each"])
    def test_writers_side_by_side(self, lake: Lake, place: Storage, shared: bool) -> None:
        barrier = threading.Barrier(self.writers)

        def write(number: int) -> State:
            own = lake if shared else self.another(place)
            mine: State = {}
            barrier.wait()
            for n in range(4):
                ids = [f"w{number}-{n}", f"w{number}-moving"]
                day = DAYS[(number + n) % 6]
                append(own, [document(i, day, version=n) for i in ids])
                append(own, [document("everybody's", DAYS[0])])
                mine |= {i: stored(i, day, version=n) for i in ids}
            return mine

        with ThreadPoolExecutor(self.writers) as pool:
            wanted = {i: run for mine in pool.map(write, range(self.writers)) for i, run in mine.items()}
        wanted["everybody's"] = stored("everybody's", DAYS[0])
        check(lake, wanted)
        lake.maintain(NOW)
        check(self.another(place), wanted)

    def test_temporary_files_are_never_seen(self, lake: Lake) -> None:
        append(lake, [document("a")])
        [entry] = lake.files.find(layout.RUNS)
        torn = f"{entry.path.rpartition('/')[0]}/.torn{files.TEMPORARY_SUFFIX}"
        put_raw(lake.files, torn, b"PAR1 and no more")
        put_raw(lake.files, torn.replace("runs/", "issues/"), b"PAR1")
        assert [e.path for e in lake.files.find(layout.RUNS)] == [entry.path]
        assert [f.name for f in layout.data_files(lake.files, [DAYS[0]], layout.ISSUES)] == [
            f.name for f in layout.data_files(lake.files)
        ]
        check(lake, {"a": stored("a")})


def delete(lake: Lake, **query: Any) -> dict[str, Any]:
    """What deleting what `query` selects answers."""
    return deletion.delete(Selected("any", lake), Query(**query), "a tester")


def everything(lake: Lake) -> dict[str, bytes]:
    """Every file of a lake."""
    tops = (layout.RUNS, layout.ISSUES, layout.DELETED, layout.REPLACED, layout.REJECTED, layout.INDEX)
    return {e.path: lake.files.read(e.path) for top in tops for e in lake.files.find(top)}


def holding(lake: Lake, text: str) -> list[str]:
    """The files that hold `text` in their bytes or, since those are compressed, in their values."""
    found = []
    for path, data in everything(lake).items():
        values = str(pl.read_parquet(data).rows()) if path.endswith(".parquet") else ""
        if text.encode() in data or text in values:
            found.append(path)
    return found


def fill(lake: Lake) -> State:
    """A lake in which everything has happened: several batches a day, changes, moves, deletions."""
    wanted: State = {}
    for n in range(4):
        ids = [f"r{n}-{m}" for m in range(6)]
        append(lake, [document(i, DAYS[m % 3], issues=m) for m, i in enumerate(ids)])
        wanted |= {i: stored(i, DAYS[m % 3], issues=m) for m, i in enumerate(ids)}
    append(lake, [document("r0-1", DAYS[1], version=1), document("r0-2", DAYS[0], version=1)])
    wanted |= {"r0-1": stored("r0-1", DAYS[1], version=1), "r0-2": stored("r0-2", DAYS[0], version=1)}
    append(lake, [document("alone", DAYS[4]), document("moved", DAYS[5])])
    append(lake, [document("moved", DAYS[4])])
    lake.delete(["r1-1", "r2-2"])
    append(lake, [document("r2-2", DAYS[2], version=5)])
    wanted |= {"alone": stored("alone", DAYS[4]), "moved": stored("moved", DAYS[4])}
    del wanted["r1-1"]
    return wanted | {"r2-2": stored("r2-2", DAYS[2], version=5)}


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    answer = connection.execute(query)
    names = [column[0] for column in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def clock(offset: timedelta) -> type[datetime]:
    """A `datetime` whose `now` is off by `offset`."""

    class Off(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + offset

    return Off


def put_raw(place: Files, path: str, data: bytes) -> None:
    """Write a file without any of the care that publishing takes."""
    if isinstance(place, files.LocalFiles):
        Path(place.root, path).write_bytes(data)
    else:
        assert isinstance(place, files.FsspecFiles)
        place.fs.pipe_file(f"{place.root}/{path}", data)
