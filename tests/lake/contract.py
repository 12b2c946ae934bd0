"""What every lake promises, whatever storage it stands on: what any backend does, and what its files show.

A storage's module derives from `LakeContract`, supplies the fixture `place` and declares by name,
among its class attributes, where it deviates.
"""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import duckdb
import polars as pl
import pyarrow.dataset
import pytest

from resources import files
from resources.files import Files, open_files
from resources.files.encrypted import EncryptedFiles
from resources.lake import Lake, index, layout
from resources.lake.parquet import decode
from tests.backends.contract import BackendContract, delete, fill
from tests.lake.state import DAYS, NOW, State, append, check, document, stored
from tests.servers import Storage


class LakeContract(BackendContract):
    @pytest.fixture
    def lake(self, backend: Lake) -> Lake:
        return backend

    def another(self, place: Storage) -> Lake:
        return Lake(open_files(place.url, place.options))

    # --- what files show ---------------------------------------------------------------------------

    def test_compaction_removes_what_was_deleted(self, lake: Lake) -> None:
        append(lake, [document("secret"), document("kept")])
        append(lake, [document("secret", DAYS[1], version=1)])
        append(lake, [document("alone", DAYS[2])])
        lake.delete(["secret", "alone", "never stored"])
        lake.maintain(NOW)
        for entry in lake.files.find(layout.RUNS) + lake.files.find(layout.ISSUES):
            rows = decode(lake.files.read(entry.path), key=lake.files.key)
            ids = rows["validation_run_id"].to_pylist()
            assert set(ids) == {"kept"}, entry.path
        delete(lake, all=True)
        lake.maintain(NOW)
        assert not lake.files.find(layout.RUNS) + lake.files.find(layout.ISSUES)

    def test_a_dry_run_writes_nothing(self, lake: Lake) -> None:
        fill(lake)
        before = everything(lake)
        assert delete(lake, dry_run=True, all=True)["issues_data"]["runs_deleted"] > 0
        assert everything(lake) == before

    def test_compaction_leaves_a_file_a_day(self, lake: Lake) -> None:
        wanted = fill(lake)
        assert all(c.files_after <= 1 for c in lake.maintain(NOW).days)
        for table in (layout.RUNS, layout.ISSUES):
            days = [f.day for f in layout.data_files(lake.files, table=table)]
            assert days == sorted({run.day for run in wanted.values()})

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


def everything(lake: Lake) -> dict[str, bytes]:
    """Every file of a lake."""
    tops = (layout.RUNS, layout.ISSUES, layout.DELETED, layout.REPLACED, layout.REJECTED, layout.INDEX)
    return {e.path: lake.files.read(e.path) for top in tops for e in lake.files.find(top)}


def holding(lake: Lake, text: str) -> list[str]:
    """The files that hold `text` in their bytes or, since those are compressed, in their values."""
    found = []
    for path, data in everything(lake).items():
        values = str(decode(data, key=lake.files.key).to_pylist()) if path.endswith(".parquet") else ""
        if text.encode() in data or text in values:
            found.append(path)
    return found


def put_raw(place: Files, path: str, data: bytes) -> None:
    """Write a file without any of the care that publishing takes."""
    if isinstance(place, EncryptedFiles):
        place = place.inner
    if isinstance(place, files.LocalFiles):
        Path(place.root, path).write_bytes(data)
    else:
        assert isinstance(place, files.FsspecFiles)
        place.fs.pipe_file(f"{place.root}/{path}", data)
