"""An encrypted lake is a lake; whoever has no key, or another, learns nothing from it and adds nothing."""

from __future__ import annotations

import json
import re
import threading
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from pyarrow.parquet.encryption import create_decryption_properties

from assets import ingest, rejected, sources, sql_access, summary
from assets.ingest import store_deliveries
from resources.contract import Delivery
from resources.encryption import Key
from resources.errors import StorageError
from resources.files import LocalFiles, open_files
from resources.lake import Lake, index, layout, parquet
from tests.backends.contract import fill
from tests.lake.contract import LakeContract
from tests.lake.state import DAYS, NOW, append, check, document, read, stored
from tests.servers import Storage

SECRET = bytes(range(32))
KEY = Key(SECRET)
OTHER = Key(bytes(32))
MARKERS = (
    "correct-horse-run",
    "battery staple in text",
    "src/hidden/path.py",
    "plug-in-name",
    "reject-me.json",
)


class TestEncryptedLake(LakeContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Storage:
        return Storage(str(tmp_path / "a lake's folder"))

    def another(self, place: Storage) -> Lake:
        return Lake(open_files(place.url, place.options), KEY)

    def test_any_engine_reads_a_compact_lake(self, lake: Lake, tmp_path: Path) -> None:  # noqa: ARG002
        """With the key; Polars cannot decrypt."""
        wanted = fill(lake)
        lake.maintain(NOW)
        pairs = {(run_id, run.day) for run_id, run in wanted.items()}
        fragment = pyarrow.dataset.ParquetFragmentScanOptions(
            decryption_properties=create_decryption_properties(SECRET)
        )
        form = pyarrow.dataset.ParquetFileFormat(default_fragment_scan_options=fragment)
        for table in (layout.RUNS, layout.ISSUES):
            root = f"{lake.url}/{table}"
            by_arrow = pyarrow.dataset.dataset(
                root, format=form, partitioning=pyarrow.dataset.partitioning(flavor="hive")
            ).to_table()
            with duckdb.connect() as connection:
                connection.execute(f"PRAGMA add_parquet_key('mine', '{b64encode(SECRET).decode()}')")
                literal = root.replace("'", "''")
                by_duckdb = connection.sql(
                    f"FROM read_parquet('{literal}/**/*.parquet', encryption_config = {{footer_key: 'mine'}})"
                ).to_arrow_table()
            for found in (by_arrow, by_duckdb):
                rows = zip(
                    found["validation_run_id"].to_pylist(),
                    map(str, found["run_date"].to_pylist()),
                    strict=True,
                )
                with_issues = {i for i, run in wanted.items() if run.issues}
                assert set(rows) == {
                    (i, str(day)) for i, day in pairs if table == layout.RUNS or i in with_issues
                }
        for file in Path(lake.url).rglob("*.parquet"):
            assert file.read_bytes()[:4] == file.read_bytes()[-4:] == b"PARE", "the footer is encrypted too"
            with pytest.raises(pl.exceptions.PolarsError):
                pl.read_parquet(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def opened(folder: Path, key: Key | None = KEY) -> Lake:
    return Lake(LocalFiles(folder), key)


def telling(run_id: str = MARKERS[0]) -> dict[str, Any]:
    """A run that holds every marker."""
    issue = {"severity": "high", "description": MARKERS[1], "file_path": MARKERS[2]}
    return document(run_id) | {
        "target_plugin": MARKERS[3],
        "issues_list": [issue],
        "metadata": {"a": MARKERS[1]},
    }


def test_no_byte_of_the_folder_tells_anything(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs, issues, hints, deletions, the index, summaries and rejected deliveries alike."""
    monkeypatch.setattr(index, "FILES_PER_SEGMENT", 2)
    lake = opened(folder)
    raw = json.dumps(telling() | {"pipeline_score": MARKERS[1]}).encode()
    store_deliveries(lake, [Delivery("good.json", json.dumps(telling()).encode()), Delivery(MARKERS[4], raw)])
    append(lake, [telling() | {"timestamp": f"{DAYS[1]}T12:00:00Z"}, telling("another " + MARKERS[0])])
    append(lake, [document("third", DAYS[2])])
    lake.delete(["another " + MARKERS[0]])
    for day in lake.days():
        summary.summarise(lake, day)
    names = {p.relative_to(folder).parts[0] for p in folder.rglob("*.parquet")}
    assert names == {*layout.FOLDERS, "daily_summary"}
    assert tells(folder) == []
    [kept] = lake.rejected()
    assert rejected.find(lake, kept.rejected_id).source == MARKERS[4]
    assert lake.rejected_bytes(kept) == raw
    lake.maintain(NOW)
    assert tells(folder) == []


def tells(folder: Path) -> list[Path]:
    """The files that tell a marker by their names, in their bytes, or as anything that is no Parquet."""
    found = []
    for path in folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        said = any(m.encode() in data or m in str(path.relative_to(folder)) for m in MARKERS)
        if said or (path.is_file() and data[:4] != b"PARE"):
            found.append(path)
    return found


def test_what_is_fetched_from_a_remote_storage_stays_encrypted() -> None:
    files = open_files(f"memory://{uuid4()}/lake")
    lake = Lake(files, KEY)
    append(lake, [telling(), document("a")])
    lake.delete([MARKERS[0]])
    check(lake, {"a": stored("a")})
    names = lake.files.paths([f.issues_path for f in layout.data_files(lake.files)])
    assert names
    assert all(Path(name).read_bytes()[:4] == b"PARE" for name in names)
    with pytest.raises(StorageError, match="no encryption_key is given"):
        read(Lake(files))


def test_what_was_rejected_is_taken_in_from_its_encrypted_bytes(folder: Path) -> None:
    lake = opened(folder)
    raw = json.dumps(document("a", issues=1)).encode()
    store_deliveries(lake, [Delivery("broken.json", raw[:-1])])
    [kept] = lake.rejected()
    assert rejected.replay(lake).refused
    assert rejected.replay(lake, [kept.rejected_id], mended=raw).runs_stored == 1
    assert lake.rejected() == []
    check(lake, {"a": stored("a", issues=1)})


USES: dict[str, Callable[[Lake], Any]] = {
    "append": lambda lake: append(lake, [document("b")]),
    "read": read,
    "pruned read": lambda lake: read(lake, DAYS[0], DAYS[0]),
    "sql": lambda lake: sql_access.select(lake, "FROM issues"),
    "delete": lambda lake: lake.delete(["a"]),
    "deletions": lambda lake: lake.deletions(),
    "maintain": lambda lake: lake.maintain(NOW),
    "rejected": lambda lake: lake.rejected(),
    "reject": lambda lake: store_deliveries(lake, [Delivery("x.json", b"no")]),
    "summarize": lambda lake: summary.summarise(lake, DAYS[0]),
}
REFUSED = {
    (KEY, None): "is encrypted with the key .*, but no encryption_key is given",
    (KEY, OTHER): "is encrypted with the key .*, but encryption_key is the key",
    (None, KEY): "is not encrypted, but an encryption_key is given",
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(("first", "second"), REFUSED, ids=("missing", "wrong", "needless"))
def test_another_key_is_refused_and_nothing_is_written(
    folder: Path, use: str, first: Key | None, second: Key | None
) -> None:
    lake = opened(folder, first)
    append(lake, [document("a")])
    store_deliveries(lake, [Delivery("y.json", b"no")])
    lake.delete(["never stored"])
    before = sorted(folder.rglob("*"))
    with pytest.raises(StorageError, match=REFUSED[first, second]) as caught:
        USES[use](opened(folder, second))
    assert str(folder) in str(caught.value)
    assert sorted(folder.rglob("*")) == before
    health = opened(folder, second).check()
    assert not health.healthy
    assert re.search(REFUSED[first, second], health.error or "")
    check(lake, {"a": stored("a")})


@pytest.mark.parametrize(("first", "second"), REFUSED, ids=("missing", "wrong", "needless"))
def test_two_first_writers_that_disagree_learn_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, first: Key | None, second: Key | None
) -> None:
    """Both find an empty lake and publish; who looks again last is not acknowledged, nor anyone later."""
    publish = LocalFiles.publish
    lakes = [opened(folder, first)]

    def meanwhile(files: LocalFiles, path: str, data: bytes, renew: bool = False) -> None:
        if lakes and path.startswith("runs/"):
            with suppress(StorageError):  # where it is the one that sees the other first
                append(lakes.pop(), [document("a")])
        publish(files, path, data, renew)

    slower = opened(folder, second)
    with monkeypatch.context() as patched:
        patched.setattr(LocalFiles, "publish", meanwhile)
        with pytest.raises(StorageError, match="encrypted"):
            append(slower, [document("b")])
    for key in (first, second):
        with pytest.raises(StorageError, match="encrypted"):
            read(opened(folder, key))
        with pytest.raises(StorageError, match="encrypted"):
            append(opened(folder, key), [document("c")])


@pytest.mark.parametrize("table", [layout.RUNS, layout.ISSUES, layout.DELETED])
def test_a_file_under_a_false_name_or_with_a_changed_byte_is_a_clear_error(folder: Path, table: str) -> None:
    lake = opened(folder)
    append(lake, [document("a"), document("b")])
    lake.delete(["b"])
    [path] = (folder / table).rglob("*.parquet")
    whole = path.read_bytes()
    middle = len(whole) // 3
    for bad in (
        whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        parquet.encode(parquet.decode(whole, key=KEY), key=OTHER),
    ):
        path.write_bytes(bad)
        with pytest.raises(StorageError, match="damaged"):
            read(opened(folder))


def test_a_file_that_is_encrypted_anew_under_a_reader_is_read_again(folder: Path) -> None:
    lake = opened(folder)
    wanted = {f"r{n}": stored(f"r{n}", issues=20) for n in range(20)}
    append(lake, [document(run_id, issues=20) for run_id in wanted])
    [file] = layout.data_files(lake.files)
    rows = parquet.decode(lake.files.read(file.issues_path), key=KEY)
    done = threading.Event()
    tries = 0

    def replace() -> None:
        while not done.wait(0.005):  # without it a busy machine lets no reader through in all its attempts
            lake.files.publish(file.issues_path, parquet.encode(rows, key=KEY), renew=True)

    def asked(connection: duckdb.DuckDBPyConnection) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:  # what DuckDB says when it happens, which is not often
            raise duckdb.InvalidInputException("Computed AES tag differs from read AES tag")
        [(count,)] = connection.execute(
            "SELECT count(*) FROM issues WHERE description LIKE '%v0%'"
        ).fetchall()
        return int(count)

    with ThreadPoolExecutor(1) as pool:
        replacing = pool.submit(replace)
        try:
            assert [lake.reading(asked) for _ in range(100)] == [400] * 100
        finally:
            done.set()
        replacing.result()
    assert tries > 100


def test_a_column_of_values_of_any_size_stays_one_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """DuckDB cannot read a second page, and a page has less than 2 GiB: so row groups are cut by bytes."""
    monkeypatch.setattr(parquet, "_ENCRYPTED_GROUP_BYTES", 4096)
    texts = [f"{n} " + "x" * (n % 50) * (100 if n % 97 == 0 else 1) for n in range(5000)]
    table = pa.table({"description": texts, "severity": ["high", "low"] * 2500, "n": range(5000)})
    path = tmp_path / "x.parquet"
    path.write_bytes(parquet.encode(table, {"a": 1}, key=KEY))
    file = parquet.open_file(str(path), key=KEY)
    assert file.metadata.num_row_groups > 10
    assert parquet.footer(file) == {"a": 1}
    assert file.read().to_pylist() == table.to_pylist()
    with duckdb.connect() as connection:
        KEY.add_to(connection)
        query = f"FROM read_parquet('{path}', encryption_config = {{footer_key: 'lake'}})"
        assert connection.sql(query).to_arrow_table().to_pylist() == table.to_pylist()


def test_what_duckdb_cannot_do_yet(tmp_path: Path) -> None:
    """The reasons for the barrier and the single page. When this fails, they may go."""
    path = tmp_path / "x.parquet"
    table = pa.table({"n": range(50_000)})
    source = f"read_parquet('{path}', encryption_config = {{footer_key: 'lake'}})"
    with duckdb.connect() as connection:
        KEY.add_to(connection)
        path.write_bytes(parquet.encode(table, key=KEY))
        with pytest.raises(duckdb.InvalidInputException, match="AES tag"):
            connection.sql(f"SELECT n FROM {source} WHERE n = 7").fetchall()
        assert connection.sql(f"SELECT n FROM (FROM {source} OFFSET 0) WHERE n = 7").fetchall() == [(7,)]
        pq.write_table(table, path, encryption_properties=KEY.to_write())
        with pytest.raises(duckdb.InvalidInputException, match="AES tag"):
            connection.sql(f"SELECT sum(n) FROM {source}").fetchall()


@pytest.mark.parametrize("size", [0, 16, 24, 31, 33, 48, 64])
def test_only_keys_of_256_bits(size: int) -> None:
    secret = bytes(range(100, 100 + size))
    for text in (
        b64encode(secret).decode(),
        secret.hex(),
        "not a key at all, not a key at all, not a key a!",
    ):
        with pytest.raises(ValueError, match="32 bytes as base64 or hex") as caught:
            Key.of(text)
        assert not text or text not in str(caught.value)
    assert Key.of(b64encode(SECRET).decode()) == Key.of(SECRET.hex()) == Key.of(SECRET.hex().upper()) == KEY


def test_a_worker_process_encrypts_too(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "WORTH_A_WORKER", 1)
    runs = tmp_path / "runs"
    runs.mkdir()
    for n in range(40):
        (runs / f"{n}.json").write_text(json.dumps(telling(f"{MARKERS[0]} {n}")))
    lake = opened(folder)
    ingest.ingest(lake, sources.find([str(runs)]))
    assert tells(folder) == []
    assert len(read(lake)) == 40
