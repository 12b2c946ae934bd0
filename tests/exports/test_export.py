"""What is exported: the selection, its order, its limits, its manifest."""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from assets import answers
from assets.exports import export, formats, selection
from assets.exports.formats import FORMATS, choose
from assets.query import Query
from resources.config import Storage
from resources.errors import QueryError, UsageError
from tests.exports.conftest import filled, run_documents

Issues = list[dict[str, Any]]


def exported(storage: Storage, folder: Path, query: Query, name: str = "csv", **options: Any) -> list[Any]:
    """What identifies each exported issue, in order."""
    path = folder / f"issues.{name}"
    export(storage, query, name, str(path), **options)
    read = f"read_csv('{path}', all_varchar = true)" if name == "csv" else f"'{path}'"
    return duckdb.sql(f"SELECT validation_run_id, issue_index::INT FROM {read}").fetchall()


QUERIES = [
    Query(),
    Query(sort="severity"),
    Query(sort="-timestamp,severity"),
    Query(sort="-run_date,batch_id,-category"),
    Query(sort="timestamp"),
    Query(severity=["critical", "low"], plugin_name="@billing"),
    Query(date_from="2025-08-29", where="severity <= 'high'"),
    Query(text="eval"),
    Query(offset=5),
]


@pytest.mark.parametrize("query", QUERIES, ids=str)
@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_the_order_is_that_of_the_answers(storage: Storage, tmp_path: Path, query: Query, name: str) -> None:
    found = answers.issues(storage, Query(**{**_given(query), "limit": 1000}))["issues_data"]["issues"]
    assert found
    wanted = [(issue["validation_run_id"].replace("=run", "'=run"), issue["issue_index"]) for issue in found]
    if name == "parquet":
        wanted = [(run.removeprefix("'"), index) for run, index in wanted]
    assert exported(storage, tmp_path, query, name) == wanted


def _given(query: Query) -> dict[str, Any]:
    return {name: getattr(query, name) for name in query.__struct_fields__}


def test_what_does_not_fit_in_memory_has_the_same_bytes(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("csv", "yaml", "html", "markdown", "sarif", "xlsx"):
        held = export(storage, Query(), name, str(tmp_path / "held"))["issues_data"]["sha256"]
        with monkeypatch.context() as patch:
            patch.setattr(selection, "HELD_BYTES", 0)
            spilled = export(storage, Query(), name, str(tmp_path / "held"))["issues_data"]["sha256"]
        assert held == spilled, name


def test_pages_do_not_apply_but_a_limit_does(storage: Storage, tmp_path: Path) -> None:
    every = exported(storage, tmp_path, Query(limit=1))
    assert len(every) == 28
    for name in ("csv", "parquet"):
        some = exported(storage, tmp_path, Query(offset=2), name, limit=3)
        assert [index for _, index in some] == [index for _, index in every[2:5]]
    with pytest.raises(QueryError, match="less than 1"):
        export(storage, Query(), "csv", str(tmp_path / "x"), limit=0)


def test_the_answer(storage: Storage, tmp_path: Path) -> None:
    target = tmp_path / "x.ndjson"
    done = export(storage, Query(plugin_name="shop"), None, str(target))
    assert done["success"] is True
    assert done["operation_result"]["operation"] == "export_issues"
    assert done["operation_result"]["records_affected"] == 4
    content = target.read_bytes()
    assert done["issues_data"] == {
        "export_path": str(target),
        "export_format": "ndjson",
        "exported_count": 4,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_a_manifest_proves_the_export(storage: Storage, tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    query = Query(severity=["high"], date_from="2025-08-29", where="category IS NULL")
    done = export(storage, query, None, str(target), manifest=True)["issues_data"]
    manifest = json.loads(Path(done["manifest_path"]).read_bytes())
    assert manifest["file"] == "x.json"
    assert manifest["sha256"] == hashlib.sha256(target.read_bytes()).hexdigest()
    assert manifest["exported_count"] == len(json.loads(target.read_bytes())) == 2
    assert manifest["query"] == {
        "severity": ["high"],
        "date_from": "2025-08-29",
        "where": "category IS NULL",
    }
    root = Path(storage.backend.url)
    files = manifest["lake"]["files"]
    assert [f["path"].split("/")[:2] for f in files] == [["issues", "run_date=2025-08-29"]]
    assert all((root / f["path"]).stat().st_size == f["bytes"] for f in files)
    parameters = ["'" + p + "'" for p in manifest["parameters"]]
    statement = manifest["sql"].replace("?", "{}").format(*parameters)
    paths = [str(root / f["path"]) for f in files]
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW issues AS FROM read_parquet({paths})")
        again = connection.execute(statement).fetchall()
    assert [row[:2] for row in again] == [("run-2", 0), ("run-3", 0)]


def test_a_manifest_names_deletions(tmp_path: Path) -> None:
    storage = filled(tmp_path / "lake", run_documents())
    storage.backend.delete(["run-2"])
    target = tmp_path / "x.csv"
    done = export(storage, Query(), None, str(target), manifest=True)["issues_data"]
    assert done["exported_count"] == 26
    listed = json.loads(Path(done["manifest_path"]).read_bytes())["lake"]["files"]
    assert [f["path"].split("/")[0] for f in listed] == ["deleted", "issues", "issues"]
    storage.backend.maintain(timedelta(0))
    again = export(storage, Query(), None, str(target), manifest=True)["issues_data"]
    assert again["sha256"] == done["sha256"]


def test_an_unknown_format_says_what_is_known(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'docx' is not an export format; known are json, .*, sarif"):
        export(storage, Query(), "docx", str(tmp_path / "x"))


@pytest.mark.parametrize(
    ("path", "name"),
    [(f"a/x{suffix}", f.name) for f in FORMATS.values() for suffix in f.suffixes]
    + [
        ("-", "json"),
        ("a.b/x", "json"),
        ("X.CSV", "csv"),
        ("s3://b/x.csv?versionId=1", "csv"),
        (".x", "json"),
    ],
)
def test_the_suffix_tells_the_format(path: str, name: str) -> None:
    assert choose(None, path).name == name


def test_too_many_for_pdf(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = formats.Format(*(getattr(FORMATS["pdf"], n) for n in FORMATS["pdf"].__slots__[:7]), 10, "typst")
    monkeypatch.setitem(FORMATS, "pdf", small)
    with pytest.raises(UsageError, match="28 issues are too many for pdf, which takes 10"):
        export(storage, Query(), None, str(tmp_path / "x.pdf"))
    export(storage, Query(), None, str(tmp_path / "x.pdf"), limit=10)
    assert [p.name for p in tmp_path.iterdir()] == ["x.pdf"]


@pytest.mark.parametrize(("name", "package"), [("pdf", "typst"), ("xlsx", "xlsxwriter")])
def test_a_missing_extra_is_named(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"pip install 'issuelake\[{name}\]'"):
        export(storage, Query(), name, str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_evaluated_is_said(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="issue_index"):
        export(storage, Query(where="issue_index = 'many'"), "csv", str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_lake(tmp_path: Path) -> None:
    storage = filled(tmp_path / "lake", [])
    assert export(storage, Query(), None, str(tmp_path / "x.csv"), True)["issues_data"]["exported_count"] == 0
