"""`issuelake publish`: what Iceberg's and Delta's own readers answer is what the lake answers."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder
from pyiceberg.catalog import load_catalog
from pyiceberg.table import Table

from assets.publishing import Published, publish
from assets.publishing import iceberg as iceberg_tables
from assets.publishing.delta import Delta
from resources.backend import Backend
from resources.config import open_storage
from resources.errors import StorageError, UsageError
from resources.lake import Lake, layout
from resources.schema import ISSUES, RUN_DATE, RUNS
from tests.lake.state import DAYS, NOW, append, document
from tests.servers import SECRETS, Server, free_port
from tests.test_cli import Cli, cli

__all__ = ["cli"]  # its fixture

COLUMNS = {
    table: [c.name for c in (*columns, RUN_DATE)] for table, columns in (("runs", RUNS), ("issues", ISSUES))
}
Rows = list[tuple[Any, ...]]


def rows_of(table: pa.Table, name: str) -> Rows:
    """Every row, every column, in an order of its own."""
    plain = table.select(COLUMNS[name]).to_pylist()
    return sorted(tuple(map(str, row.values())) for row in plain)


def of_the_lake(backend: Backend, name: str) -> Rows:
    columns = ", ".join(f"severity::VARCHAR AS {c}" if c == "severity" else c for c in COLUMNS[name])
    return backend.reading(lambda c: rows_of(c.sql(f"SELECT {columns} FROM {name}").to_arrow_table(), name))


def iceberg(folder: Path, name: str) -> Table:
    catalog = load_catalog(
        "issuelake", type="sql", uri=f"sqlite:///{folder}/catalog.db", warehouse=str(folder)
    )
    return catalog.load_table(("issuelake", name))


def check_iceberg(folder: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
    for name in COLUMNS:
        wanted, table = of_the_lake(backend, name), iceberg(folder, name)
        assert rows_of(table.scan().to_arrow(), name) == wanted
        assert rows_of(pl.scan_iceberg(table).collect().to_arrow(), name) == wanted
        for day in backend.days():
            found = table.scan(row_filter=f"run_date = '{day}'").to_arrow()
            assert rows_of(found, name) == [row for row in wanted if row[-1] == str(day)]


def check_delta(place: str, backend: Backend, options: dict[str, str] | None = None) -> None:
    for name in COLUMNS:
        wanted, table = of_the_lake(backend, name), DeltaTable(f"{place}/{name}", storage_options=options)
        assert rows_of(table.to_pyarrow_table(), name) == wanted
        assert rows_of(pl.scan_delta(table).collect().to_arrow(), name) == wanted
        answered = pa.table(QueryBuilder().register("t", table).execute("SELECT * FROM t").read_all())
        assert len(answered) == len(wanted)
        for day in backend.days():
            found = table.to_pyarrow_table(filters=[("run_date", "=", day)])
            assert rows_of(found, name) == [row for row in wanted if row[-1] == str(day)]


def check_either(format: str, to: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    if format == "iceberg":
        check_iceberg(to, backend, monkeypatch)
    else:
        check_delta(str(to), backend)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three days, one of them of several batches, one with a run that was replaced from another day."""
    backend = open_storage(str(tmp_path / "the lake")).backend
    append(backend, [document(f"{day:%d}-{n}", day, issues=n) for day in DAYS[:3] for n in range(4)])
    append(backend, [document("again", DAYS[0]), document("moved", DAYS[1])])
    append(backend, [document("again", DAYS[0], version=1), document("moved", DAYS[2], version=1)])
    assert isinstance(backend, Lake)
    return backend


def of(done: list[Published]) -> dict[str, tuple[int, int, int, int]]:
    return {p.table: (p.files, p.rows, p.files_added, p.files_removed) for p in done}


@pytest.mark.parametrize("format", ["iceberg", "delta"])
def test_a_table_follows_the_lake(
    format: str, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "tables"

    def check() -> None:
        check_either(format, to, lake, monkeypatch)

    assert of(publish(lake, format, str(to))) == {"runs": (3, 14, 3, 0), "issues": (3, 22, 3, 0)}
    check()
    # Nothing new: nothing is committed.
    [before, _] = publish(lake, format, str(to))
    assert (before.files_added, before.files_removed) == (0, 0)
    # One more day is one more file; the others stay.
    append(lake, [document("new", DAYS[3])])
    assert of(publish(lake, format, str(to)))["runs"] == (4, 15, 1, 0)
    check()
    # A day that changed is another file, and so is one that had more files than were published; a day whose
    # runs went is none. What the lake removed is not asked for.
    append(lake, [document("late", DAYS[0])])
    lake.delete(["new"])
    lake.maintain(NOW)
    assert of(publish(lake, format, str(to)))["runs"] == (3, 15, 2, 3)
    check()
    # A deletion counts although nothing was compacted since.
    lake.delete(["late", "02-3"])
    assert of(publish(lake, format, str(to)))["issues"][1] == 22 - 3
    check()
    lake.delete([row[0] for row in of_the_lake(lake, "runs")])
    assert of(publish(lake, format, str(to)))["runs"][:2] == (0, 0)
    check()


def test_the_files_of_an_iceberg_table_are_those_of_the_lake(lake: Lake, tmp_path: Path) -> None:
    publish(lake, "iceberg", str(tmp_path / "tables"))
    paths = {task.file.file_path for task in iceberg(tmp_path / "tables", "issues").scan().plan_files()}
    newest = {f.day: f for f in layout.data_files(lake.files)}  # the compacted one is the largest
    assert len(paths) == len(newest)
    assert all(path.startswith(f"file://{lake.url}/issues/") for path in paths)
    assert not list((tmp_path / "tables").rglob("*.parquet"))


@pytest.mark.parametrize("format", ["iceberg", "delta"])
def test_one_that_was_overtaken_says_so_and_leaves_no_double(
    format: str, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rounds begin at the same version, with different files of a day."""
    to = tmp_path / "tables"
    place, name = (Delta, "_commit") if format == "delta" else (iceberg_tables, "_entry")
    original = getattr(place, name)

    def overtake(*args: Any) -> Any:
        monkeypatch.setattr(place, name, original)
        append(lake, [document("meanwhile", DAYS[5])])
        publish(lake, format, str(to))
        return original(*args)

    publish(lake, format, str(to))
    append(lake, [document("first", DAYS[5])])
    monkeypatch.setattr(place, name, overtake)
    with pytest.raises(StorageError, match="Publish again"):
        publish(lake, format, str(to))
    check_either(format, to, lake, monkeypatch)


def test_what_cannot_be_published_is_refused(lake: Lake, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        f"storage_backend: sqlite\nstorage_config: {{sqlite: {{database_path: {tmp_path}/i.db}}}}"
    )
    key = tmp_path / "key.yaml"
    secret = b64encode(bytes(32)).decode()
    key.write_text(
        f"storage_backend: local_file\nstorage_config:\n  local_file: {{storage_path: {tmp_path}/secret,"
        f' encryption_key: "{secret}"}}\n'
    )
    for opened, format, to, said in (
        (lake, "hudi", "t", "known are iceberg, delta"),
        (open_storage(config=config).backend, "delta", "t", "is not one lake"),
        (open_storage(config=key).backend, "iceberg", "t", "is encrypted"),
        (lake, "iceberg", "s3://user:secret@bucket/x", "no place for an Iceberg catalogue"),
        (lake, "iceberg", "catalog://nowhere", "PYICEBERG_CATALOG__NAME__URI"),
        (
            open_storage("memory://here").backend,
            "iceberg",
            str(tmp_path / "t"),
            "does not refer to files at memory",
        ),
    ):
        append(opened, [document("one")])
        with pytest.raises(UsageError, match=said) as error:
            publish(opened, format, to)
        assert "secret@" not in str(error.value)


def test_a_catalogue_that_cannot_be_opened_keeps_its_password(lake: Lake, cli: Cli) -> None:
    append(lake, [document("one")])
    password = "of-the-catalogue/4711"
    environment = {
        "PYICEBERG_CATALOG__TEAM__TYPE": "rest",
        "PYICEBERG_CATALOG__TEAM__URI": f"http://127.0.0.1:{free_port()}",
        "PYICEBERG_CATALOG__TEAM__WAREHOUSE": f"s3://us:{password}@bucket",
    }
    words = ("publish", "-f", "iceberg", "--to", "catalog://team", "--storage", lake.url)
    told = cli.run(*words, code=2, **environment).stderr.decode()
    assert "warehouse" in told
    assert password not in unquote(told)


def test_on_s3(seaweedfs: Server, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lake in a bucket: Iceberg refers to it in a catalogue of pyiceberg's own, Delta copies within it."""
    aws = {
        "AWS_ACCESS_KEY_ID": "owner",
        "AWS_SECRET_ACCESS_KEY": SECRETS["owner"],
        "AWS_ENDPOINT_URL": seaweedfs.url,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    catalogue = {
        "type": "sql",
        "uri": f"sqlite:///{tmp_path}/team.db",
        "warehouse": "s3://issuelake/iceberg",
        "s3.endpoint": seaweedfs.url,
        "s3.access-key-id": "owner",
        "s3.secret-access-key": SECRETS["owner"],
        "s3.region": "us-east-1",
    }
    environment = aws | {
        f"PYICEBERG_CATALOG__TEAM__{key.replace('.', '__').replace('-', '_').upper()}": value
        for key, value in catalogue.items()
    }
    for name, value in aws.items():
        monkeypatch.setenv(name, value)
    there = open_storage("s3://issuelake/published").backend
    for more in (
        [document(f"{day:%d}-{n}", day, issues=n) for day in DAYS[:2] for n in range(3)],
        [document("more", DAYS[1])],
    ):
        append(there, more)
        publish(there, "delta", "s3://issuelake/delta")
        cli.run("publish", "-f", "iceberg", "--to", "catalog://team", "--storage", there.url, **environment)
    check_delta("s3://issuelake/delta", there)
    for name in COLUMNS:
        table = load_catalog("team", **catalogue).load_table(("issuelake", name))
        assert rows_of(table.scan().to_arrow(), name) == of_the_lake(there, name)


def test_the_command(lake: Lake, tmp_path: Path, cli: Cli) -> None:
    arguments = ("publish", "--format", "delta", "--to", str(tmp_path / "tables"), "--storage", lake.url)
    said = cli.run(*arguments)
    assert "runs: 14 rows in 3 files (+3 −0)" in said.stdout.decode()
    assert f"compacted {DAYS[0]}" in said.stderr.decode()
    assert [table["rows"] for table in cli.json(*arguments)["tables"]] == [14, 22]
