"""A bundle in the hands of somebody who has nothing of ours."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pandas as pd
import polars as pl
import pytest

from assets.bundle import bundle
from assets.bundle.describe import PARTS
from assets.bundle.tables import TABLES
from assets.exports.formulas import FORMULA_STARTS
from assets.migration.rounds import migrate
from assets.problems import triage
from assets.query import Query
from assets.sql_access import views
from resources.config import Storage, open_storage
from resources.encryption import Key
from resources.errors import QueryError, StorageError, UsageError
from resources.files import LocalFiles
from resources.lake import Lake
from tests import servers
from tests.exports.conftest import HOSTILE, filled, run_documents

ROOT = Path(__file__).parents[2]
DATA = [path for path in PARTS if path.startswith("data/")]


def unpacked(archive: Path, folder: Path) -> Path:
    """`archive` as `unzip` lays it out in `folder`, found unchanged by `sha256sum`."""
    subprocess.run(["unzip", "-q", "-d", str(folder), str(archive)], check=True)
    checked = subprocess.run(
        ["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert checked.stdout.splitlines() == [f"{path}: OK" for path in PARTS if path != "SHA256SUMS"]
    return folder


@pytest.fixture(scope="module")
def handed_over(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of everything, unpacked."""
    folder = tmp_path_factory.mktemp("bundle")
    done = bundle(storage, Query(), str(folder / "audit.zip"))["issues_data"]
    assert done["rows"]["issues"] == len(HOSTILE) + 4
    return unpacked(folder / "audit.zip", folder / "audit")


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    return pl.read_parquet(folder / "data" / f"{table}.parquet").to_dicts()


def test_the_names_in_it_are_ours_alone(handed_over: Path) -> None:
    archive = handed_over.with_name("audit.zip")
    with zipfile.ZipFile(archive) as packed:
        assert packed.namelist() == list(PARTS)
        assert {(i.date_time, i.external_attr >> 16) for i in packed.infolist()} == {
            ((1980, 1, 1, 0, 0, 0), 0o100644)
        }
    found = {str(p.relative_to(handed_over)) for p in handed_over.rglob("*") if p.is_file()}
    assert found == set(PARTS)


def test_its_data_is_what_the_views_of_the_lake_say(storage: Storage, handed_over: Path) -> None:
    with views(storage.backend) as connection:
        for table in ("runs", "issues", "problem_lives"):
            kept = [c.name for c in TABLES[table]]
            wanted = connection.sql(f"SELECT {', '.join(kept)} FROM {table}").pl()
            wanted = wanted.with_columns(pl.col("severity").cast(pl.String)) if "severity" in kept else wanted
            found = pl.read_parquet(handed_over / "data" / f"{table}.parquet")
            assert found.schema.to_python().keys() == set(kept)
            assert sorted(map(repr, found.rows())) == sorted(map(repr, wanted.rows()))


def test_pandas_reads_every_text_as_it_was(handed_over: Path) -> None:
    issues = pd.read_parquet(handed_over / "data" / "issues.parquet")
    told = issues[issues["target_plugin"] == "@billing"].sort_values("issue_index")
    assert told["description"].tolist() == HOSTILE
    assert [json.loads(details)["rule"] for details in told["details"]] == HOSTILE
    assert str(issues["timestamp"].dtype) == "datetime64[us, UTC]"


_A_STRANGER = """
import sys
sys.path[:0] = [sys.argv[1]]
import duckdb
with duckdb.connect("{database}", read_only=True) as connection:
    {before}
    print(connection.sql("SELECT severity, count(*) FROM issues GROUP BY ALL ORDER BY ALL").fetchall())
    for view in ("runs", "issues", "problems", "problem_lives", "triage_decisions", "daily_summary"):
        print(view, connection.sql(f"SELECT count(*) FROM {{view}}").fetchall()[0][0])
assert not [name for name in sys.modules if name.split(".")[0] in ("issuelake", "assets", "resources")]
"""


@pytest.mark.parametrize("elsewhere", [False, True], ids=["there", "elsewhere"])
def test_duckdb_opens_it_in_a_process_without_anything_of_ours(
    handed_over: Path, tmp_path: Path, elsewhere: bool
) -> None:
    only = tmp_path / "only"
    only.mkdir()
    for part in Path(duckdb.__file__).parents[1].glob("*duckdb*"):
        (only / part.name).symlink_to(part)
    before = f"connection.execute(\"SET file_search_path = '{handed_over}'\")" if elsewhere else ""
    database = handed_over / "audit.duckdb" if elsewhere else "audit.duckdb"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _A_STRANGER.format(database=database, before=before), str(only)],
        cwd=tmp_path if elsewhere else handed_over,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[0] == "[('critical', 6), ('high', 8), ('medium', 6), ('low', 8)]"
    assert told[1:] == [
        "runs 3",
        "issues 28",
        "problems 26",
        "problem_lives 26",
        "triage_decisions 0",
        "daily_summary 2",
    ]
    unchanged = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=handed_over, check=False)
    assert unchanged.returncode == 0


def test_a_spreadsheet_finds_no_formula(handed_over: Path) -> None:
    raw = (handed_over / "issues.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    with open(handed_over / "issues.csv", encoding="utf-8-sig", newline="") as file:
        issues = list(csv.DictReader(file))
    assert len(issues) == 28
    assert not [v for issue in issues for v in issue.values() if v.startswith(FORMULA_STARTS)]


def test_the_readme_tells_what_is_there(handed_over: Path, storage: Storage) -> None:
    text = (handed_over / "README.txt").read_text("utf-8")
    assert "$" not in text
    for path in PARTS:
        assert f"\n{path} " in text
    for column in (c for columns in TABLES.values() for c in columns):
        assert f"    {column.name} " in text
    assert "data/issues.parquet             their issues (28 rows)" in text
    assert f"From:      {storage.backend.url}\n" in text
    assert max(map(len, text.splitlines())) <= 120


def test_a_hostile_selection_is_one_line_of_the_readme(tmp_path: Path) -> None:
    evil = 'x"\n\nWAS ANYTHING CHANGED?\nNo.\u202e\x1b[2J$version'
    run = run_documents()[1] | {"target_plugin": evil}
    bundle(filled(tmp_path / "lake", [run]), Query(plugin_name=evil), str(tmp_path / "a.zip"))
    folder = unpacked(tmp_path / "a.zip", tmp_path / "a")
    text = (folder / "README.txt").read_text("utf-8")
    assert text.count("WAS ANYTHING CHANGED?\n") == 1
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "$version" in text
    assert json.loads((folder / "manifest.json").read_bytes())["query"] == {"plugin_name": evil}


def test_the_manifest_proves_it(handed_over: Path, storage: Storage) -> None:
    manifest = json.loads((handed_over / "manifest.json").read_bytes())
    listed = {f["path"]: (f["bytes"], f["sha256"]) for f in manifest["files"]}
    sums = dict(
        line.split("  ")[::-1] for line in (handed_over / "SHA256SUMS").read_text("utf-8").splitlines()
    )
    assert {path: sha256 for path, (_, sha256) in listed.items()} | {
        "manifest.json": sums["manifest.json"]
    } == sums
    assert all((handed_over / path).stat().st_size == size for path, (size, _) in listed.items())
    assert manifest["rows"] == {t: len(rows(handed_over, t)) for t in TABLES}
    lake = Path(storage.backend.url)
    assert {f["path"].split("/")[0] for f in manifest["lake"]["files"]} == {"runs", "issues"}
    assert all((lake / f["path"]).stat().st_size == f["bytes"] for f in manifest["lake"]["files"])


_AGAIN = (
    "import sys; from assets.bundle import bundle; from assets.query import Query;"
    "from resources.config import open_storage;"
    "print(bundle(open_storage(sys.argv[1]), Query(), sys.argv[2])['issues_data']['sha256'])"
)


def test_the_same_lake_gives_the_same_bytes_wherever_and_whenever(
    handed_over: Path, storage: Storage, tmp_path: Path
) -> None:
    before = handed_over.with_name("audit.zip")
    assert datetime.now(UTC).timestamp() - before.stat().st_mtime > 0
    others = {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "LC_ALL": "C", "PYTHONPATH": str(ROOT)}
    again = tmp_path / "again.zip"
    subprocess.run(
        [sys.executable, "-c", _AGAIN, storage.backend.url, str(again)],
        cwd=tmp_path,
        env=os.environ | others,
        check=True,
        capture_output=True,
    )
    assert again.read_bytes() == before.read_bytes()


def test_a_compacted_lake_gives_the_same_content(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path / "lake"))
    for document in run_documents():
        filled(tmp_path / "lake", [document])
    first = bundle(storage, Query(), str(tmp_path / "a.zip"))["issues_data"]
    storage.backend.maintain(timedelta(0))
    second = bundle(storage, Query(), str(tmp_path / "b.zip"))["issues_data"]
    assert second["content_sha256"] == first["content_sha256"]
    assert second["sha256"] != first["sha256"]  # the manifest names other files


def history(tmp_path: Path) -> Storage:
    """Three days of one plugin: a problem that stays, one that is fixed, one that comes; and another's."""
    found = {"2025-01-01": ["stays", "goes"], "2025-01-02": ["stays"], "2025-01-03": ["stays", "comes"]}
    runs = [
        {
            "validation_run_id": f"shop-{day}",
            "timestamp": f"{day}T10:00:00Z",
            "target_plugin": "shop",
            "pipeline_score": 80,
            "issues_list": [
                {"severity": "high" if text == "comes" else "low", "description": text} for text in texts
            ],
        }
        for day, texts in found.items()
    ]
    other = runs[0] | {"validation_run_id": "other", "target_plugin": "other"}
    return filled(tmp_path / "lake", [*runs, other])


def test_a_selection(tmp_path: Path) -> None:
    storage = history(tmp_path)
    query = Query(plugin_name="shop", date_from="2025-01-03", severity=["low"])
    bundle(storage, query, str(tmp_path / "a.zip"))
    folder = unpacked(tmp_path / "a.zip", tmp_path / "a")
    [run] = rows(folder, "runs")
    assert (run["validation_run_id"], run["low_issues"], run["high_issues"]) == ("shop-2025-01-03", 1, 1)
    [issue] = rows(folder, "issues")
    assert (issue["description"], issue["run_date"]) == ("stays", date(2025, 1, 3))
    [problem] = rows(folder, "problems")  # with the whole of its past
    assert (problem["description"], problem["status"], problem["runs_seen"]) == ("stays", "open", 3)
    assert problem["first_seen"] == datetime(2025, 1, 1, 10, tzinfo=UTC)
    assert problem["age_days"] == 2.0
    assert problem["sla_days_left"] == 178.0


def test_problems_are_told_as_of_the_end_of_the_selection(tmp_path: Path) -> None:
    storage = history(tmp_path)
    done = bundle(storage, Query(plugin_name="shop", date_to="2025-01-01"), str(tmp_path / "a.zip"))
    assert done["issues_data"]["as_of"] == "2025-01-01T23:59:59.999999Z"
    folder = unpacked(tmp_path / "a.zip", tmp_path / "a")
    assert {p["description"]: p["status"] for p in rows(folder, "problems")} == {
        "stays": "new",
        "goes": "new",
    }


def test_decisions_made_after_the_last_run_are_in_it(tmp_path: Path) -> None:
    storage = history(tmp_path)
    with views(storage.backend) as connection:
        [(fingerprint,)] = connection.sql(
            "SELECT fingerprint FROM problems WHERE description = 'comes'"
        ).fetchall()
    triage.decide(storage.backend.files, [fingerprint], "accepted", "=1+1", "@ada")
    done = bundle(storage, Query(), str(tmp_path / "a.zip"))["issues_data"]
    folder = unpacked(tmp_path / "a.zip", tmp_path / "a")
    [decision] = rows(folder, "triage_decisions")
    assert (decision["fingerprint"], decision["reason"], decision["actor"]) == (fingerprint, "=1+1", "@ada")
    assert done["as_of"].startswith(decision["decided_at"].strftime("%Y-%m-%dT%H:%M:%S"))
    assert {p["triage"] for p in rows(folder, "problems") if p["description"] == "comes"} == {"accepted"}
    assert bundle(storage, Query(), str(tmp_path / "b.zip"))["issues_data"]["sha256"] == done["sha256"]


def test_nothing_selected_is_an_error(tmp_path: Path) -> None:
    for storage in (filled(tmp_path / "empty", []), history(tmp_path)):
        with pytest.raises(QueryError, match="Nothing is selected: no run"):
            bundle(storage, Query(plugin_name="nobody"), str(tmp_path / "a.zip"))
    assert not (tmp_path / "a.zip").exists()
    done = bundle(storage, Query(plugin_name="other", severity=["critical"]), str(tmp_path / "a.zip"))
    assert done["issues_data"]["rows"] == dict.fromkeys(TABLES, 0) | {"runs": 1}
    folder = unpacked(tmp_path / "a.zip", tmp_path / "a")
    for table, columns in TABLES.items():
        assert pl.read_parquet(folder / "data" / f"{table}.parquet").columns == [c.name for c in columns]


def test_a_database_and_an_encrypted_lake_give_the_same_data(tmp_path: Path) -> None:
    storage = history(tmp_path)
    config = tmp_path / "config.yaml"
    path = tmp_path / "issues.db"
    config.write_text(f"storage_backend: sqlite\nstorage_config: {{sqlite: {{database_path: '{path}'}}}}\n")
    database = open_storage(config=str(config))
    encrypted = Storage("local_file", Lake(LocalFiles(tmp_path / "secret"), Key.of("A" * 43 + "=")))
    wanted = None
    for name, other in (("lake", storage), ("sqlite", database), ("encrypted", encrypted)):
        if other is not storage:
            migrate(storage.backend, other.backend, "us")
        done = bundle(other, Query(), str(tmp_path / f"{name}.zip"))["issues_data"]
        wanted = wanted or done["content_sha256"]
        assert done["content_sha256"] == wanted, name


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.zip").write_text("old")
    yield folder / "a.zip"
    shutil.rmtree(folder)


def test_a_full_disk_leaves_the_old_file(storage: Storage, target: Path) -> None:
    code = (
        "import sys, resource; from assets.bundle import bundle; from assets.query import Query;"
        "from resources.config import open_storage; from resources.errors import StorageError;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)\n"
        "try: bundle(open_storage(sys.argv[1]), Query(), sys.argv[2])\n"
        "except StorageError as error: print(error)"
    )
    for room in ("1000", "30000"):  # no table, no page
        done = subprocess.run(
            [sys.executable, "-c", code, storage.backend.url, str(target), room],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=False,
        )
        assert done.stdout.startswith(f"Could not write {target}: "), (room, done.stdout, done.stderr)
        assert os.listdir(target.parent) == ["a.zip"]
        assert target.read_text() == "old"


def test_to_object_stores(storage: Storage, handed_over: Path, s3_server: servers.Storage) -> None:
    wanted = handed_over.with_name("audit.zip").read_bytes()
    bundle(storage, Query(), "memory://bundles/a.zip")
    assert fsspec.filesystem("memory").cat_file("/bundles/a.zip") == wanted
    url = f"{s3_server.url}/bundles/a.zip"
    bundle(storage, Query(), url, s3_server.options)
    fs, path = fsspec.url_to_fs(url, **s3_server.options, skip_instance_cache=True)
    assert fs.cat_file(path) == wanted


def test_what_is_no_place_for_it(storage: Storage, tmp_path: Path) -> None:
    for place, says in (
        (str(tmp_path), "is a folder"),
        (f"{storage.backend.url}/runs/a.zip", "the lake's own folder runs"),
    ):
        with pytest.raises(UsageError, match=says):
            bundle(storage, Query(), place)
    with pytest.raises(StorageError, match=r"Could not write /proc/a\.zip"):
        bundle(storage, Query(), "/proc/a.zip")


def test_the_command(storage: Storage, handed_over: Path, tmp_path: Path) -> None:
    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", "from pipelines.cli import main; main()", "bundle", *words],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    lake = ("--storage", storage.backend.url)
    done = run("--to", "-", *lake)
    told = done.stderr.decode().splitlines()
    assert told[0].startswith("3 runs, 28 issues, 26 problems as of 2025-08-29T10:00:00Z, ")
    assert told[0].endswith(" bytes → -")
    assert done.stdout == handed_over.with_name("audit.zip").read_bytes()
    answered = json.loads(run("--to", "b.zip", "--plugin", "shop", "--json", *lake).stdout)["issues_data"]
    assert answered["rows"] == {
        "runs": 2,
        "issues": 4,
        "problems": 2,
        "problem_lives": 2,
        "triage_decisions": 0,
    }
    assert b"looks like a day" in run("--to", "2025-01-01", *lake, code=2).stderr
