"""A bucket deleted, a clock wrong, a disk full, days half written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest

from resources.config import open_storage
from resources.errors import StorageError
from resources.lake import layout, write
from resources.lake.compact import ORPHAN_AGE
from tests import servers
from tests.drills.world import clock_off_by, everything, fill
from tests.lake.state import DAYS, append, document, read
from tests.test_cli import Cli


def test_the_bucket_is_gone(
    seaweedfs: servers.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = servers.SECRETS["writer"]  # who may not make buckets
    variables = {
        "AWS_ACCESS_KEY_ID": "writer",
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_ENDPOINT_URL": seaweedfs.url,
        "ISSUELAKE_CONFIG": str(tmp_path / "config.yaml"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "config.yaml").write_text(
        f"storage_config:\n  aws_s3: {{bucket: drill, prefix: lake, endpoint_url: '{seaweedfs.url}'}}\n"
        f"  local_file: {{storage_path: {tmp_path}/local}}\n"
    )
    s3, store = servers.s3_client(seaweedfs), fsspec.filesystem("s3", skip_instance_cache=True)
    s3.create_bucket(Bucket="drill")
    lake = open_storage("s3://drill/lake").backend
    fill(lake)
    wanted = everything(lake)
    store.get("drill/lake/", str(tmp_path / "backup"), recursive=True)
    store.rm("drill/lake", recursive=True)
    s3.delete_bucket(Bucket="drill")

    # No empty lake is seen or begun, neither by who had it open nor by who comes.
    for work in (
        lambda: read(lake),
        lambda: read(lake, DAYS[0], DAYS[1]),
        lambda: append(lake, [document("x")]),
        lambda: read(open_storage("s3://drill/lake").backend),
        lambda: append(open_storage("s3://drill/lake").backend, [document("x")]),
    ):
        with pytest.raises(StorageError, match="drill"):
            work()
    cli = Cli(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(document("meanwhile", DAYS[3])))
    refused = cli.run("ingest", "run.json", "--storage", "s3://drill/lake", code=1, **variables)
    assert b"drill" in refused.stderr
    assert secret.encode() not in refused.stderr
    # With another backend behind it, that takes what comes.
    taken = cli.json("ingest", "run.json", **variables)
    assert taken["storage_backend_used"] == "local_file", taken

    s3.create_bucket(Bucket="drill")
    store.put(str(tmp_path / "backup") + "/", "drill/lake", recursive=True)
    assert everything(open_storage("s3://drill/lake").backend) == wanted
    cli.run("reconcile", **variables)
    restored = read(open_storage("s3://drill/lake").backend)
    assert "meanwhile" in restored
    assert len(restored) == len(wanted["runs"]) + 1


@pytest.mark.parametrize("days", [-1, 1])
def test_a_writer_with_a_wrong_clock_neither_wins_nor_loses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """Delivering anew wins and a deletion hides, in whatever order writers with either clock come."""
    lake = open_storage(str(tmp_path / "lake")).backend
    wrong = clock_off_by(days)

    def by(wrongly: bool, version: int) -> None:
        with monkeypatch.context() as patched:
            if wrongly:
                patched.setattr(write, "datetime", wrong)
            append(lake, [document("run", version=version)])
        assert read(lake)["run"].version == version

    def hide() -> None:
        lake.delete(["run"])
        assert not read(lake)

    by(True, 1)
    by(False, 2)
    by(True, 3)
    hide()
    by(True, 4)
    by(False, 5)
    hide()
    lake.maintain(timedelta(0))
    assert not read(lake)


def test_a_run_without_a_timestamp_from_a_clock_that_is_ahead_is_moved(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    now = datetime.now(UTC)
    run = {"validation_run_id": "ahead", "target_plugin": "p", "issues_list": []}
    (tmp_path / "ahead.json").write_text(json.dumps(run))
    tomorrow = (now + timedelta(days=1)).timestamp()
    os.utime(tmp_path / "ahead.json", (tomorrow, tomorrow))  # as a machine that is a day ahead writes it
    (tmp_path / "right.json").write_text(json.dumps(document("right", now.date())))
    cli.run("ingest", "ahead.json", "right.json")
    assert cli.json("latest")["issues_data"]["validation_run_id"] == "ahead"
    run["timestamp"] = f"{now.date() - timedelta(days=2)}T12:00:00Z"
    (tmp_path / "mended.json").write_text(json.dumps(run))
    cli.run("ingest", "mended.json")
    assert cli.json("latest")["issues_data"]["validation_run_id"] == "right"
    for grace in ("60", "0"):
        assert cli.json("sql", "SELECT count(*) AS n FROM runs") == [{"n": 2}]
        cli.run("compact", "--grace", grace)
    lake = open_storage(str(tmp_path / "lake")).backend
    assert {file.day for file in layout.data_files(lake.files)} == {
        now.date(),
        now.date() - timedelta(days=2),
    }


def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """A file system of 1 MB, and more room later."""
    if os.geteuid() != 0:
        servers.missing("root, to mount a small file system")
    small, runs = tmp_path / "small", tmp_path / "runs"
    small.mkdir()
    runs.mkdir()
    documents = [document(f"run-{number}", DAYS[number % 3]) for number in range(12)]
    for number, run in enumerate(documents):
        run["issues_list"][0]["details"] = {"log": os.urandom(60_000).hex()}  # half of it does not compress
        (runs / f"{number:02}.json").write_text(json.dumps(run))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(small)], check=True)
    try:
        lake = open_storage(str(small / "lake")).backend
        acknowledged, refusals = [], []
        for run in documents:
            try:
                append(lake, [run])
                acknowledged.append(run["validation_run_id"])
            except StorageError as error:
                refusals.append(str(error))
        assert 2 <= len(acknowledged) < 12, (acknowledged, refusals)
        assert all("No space left on device" in said for said in refusals)
        stored = read(lake)
        assert set(acknowledged) <= set(stored)
        # Compaction needs room too; without any it changes nothing.
        for day in DAYS[:3]:
            with suppress(StorageError):
                lake.compact_day(day)
        assert read(lake) == stored
        cli = Cli(tmp_path)
        said = cli.run("ingest", "runs", "--storage", "small/lake", code=1).stderr
        assert b"No space left on device" in said
        subprocess.run(["mount", "-o", "remount,size=64M", str(small)], check=True)
        done = cli.json("ingest", "runs", "--storage", "small/lake")
        assert done["runs_stored"] + done["duplicates"] == 12, done
        assert done["duplicates"] >= len(acknowledged)
        assert set(read(lake)) == {run["validation_run_id"] for run in documents}
        assert not list(small.rglob("*.part"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_half_written_days_count_for_nobody_and_are_removed(tmp_path: Path) -> None:
    lake = open_storage(str(tmp_path / "lake")).backend
    append(lake, [document("whole", DAYS[0])])
    wanted = everything(lake)
    # A writer killed before its runs file, on this day and on one of its own, and one killed within a file.
    scratch = open_storage(str(tmp_path / "scratch")).backend
    append(scratch, [document("torn", DAYS[0]), document("torn too", DAYS[1])])
    shutil.copytree(f"{scratch.url}/issues", f"{lake.url}/issues", dirs_exist_ok=True)
    (Path(lake.url) / layout.day_folder(layout.RUNS, DAYS[0]) / ".0011.part").write_bytes(b"PAR1")
    assert everything(lake) == wanted
    lake.maintain(timedelta(0))
    assert everything(lake) == wanted
    left = [f for f in Path(lake.url).rglob("*") if f.suffix == ".part"]
    assert left, "removed while its writer may still be at it"
    long_ago = time.time() - ORPHAN_AGE.total_seconds() - 60
    for path in Path(lake.url).rglob("*.*"):
        os.utime(path, (long_ago, long_ago))
    lake.maintain(timedelta(0))
    assert everything(lake) == wanted
    assert not list(Path(lake.url).rglob("*.part"))
    committed = {f.name for f in layout.data_files(lake.files)}
    assert {f.name for f in layout.data_files(lake.files, [DAYS[0]], layout.ISSUES)} == committed
    # The writer comes again, and all is there.
    append(lake, [document("torn", DAYS[0]), document("torn too", DAYS[1])])
    assert set(read(lake)) == {"whole", "torn", "torn too"}


def test_a_missing_issues_file_is_told_and_comes_back_from_the_backup(tmp_path: Path) -> None:
    lake = open_storage(str(tmp_path / "lake")).backend
    fill(lake)
    wanted = everything(lake)
    [victim, *_] = layout.data_files(lake.files, table=layout.ISSUES)
    kept = tmp_path / "kept"
    shutil.move(f"{lake.url}/{victim.issues_path}", kept)
    with pytest.raises(StorageError, match=victim.name):
        everything(lake)
    shutil.move(kept, f"{lake.url}/{victim.issues_path}")
    assert everything(lake) == wanted
