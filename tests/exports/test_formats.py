"""Each format read back by another tool: the same issues in the same order, nothing alive in them."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import html5lib
import openpyxl
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from pypdf import PdfReader

from assets.exports import export
from assets.exports.formats import FORMATS
from assets.exports.formulas import FORMULA_STARTS
from assets.exports.selection import COLUMNS, JSON_COLUMNS
from assets.exports.writers import xlsx
from assets.query import Query
from resources.config import Storage
from tests.exports.conftest import HOSTILE, filled, run_documents

Issues = list[dict[str, Any]]


def written(storage: Storage, folder: Path, name: str, query: Query | None = None, **options: Any) -> Path:
    path = folder / f"issues.{name}"
    done = export(storage, query or Query(), name, str(path), **options)["issues_data"]
    content = path.read_bytes()
    assert done["bytes"] == len(content)
    assert done["sha256"] == hashlib.sha256(content).hexdigest()
    return path


def test_json(storage: Storage, issues: Issues, tmp_path: Path) -> None:
    assert json.loads(written(storage, tmp_path, "json").read_text("utf-8")) == issues


def test_ndjson(storage: Storage, issues: Issues, tmp_path: Path) -> None:
    path = written(storage, tmp_path, "ndjson")
    assert [json.loads(line) for line in path.read_bytes().split(b"\n") if line] == issues
    plain = filled(tmp_path / "lake", run_documents()[1:2])  # Polars reads no integer of 30 digits
    frame = pl.read_ndjson(written(plain, tmp_path, "ndjson", Query(severity=["high"])))
    assert frame["issue_index"].to_list() == [0]


def test_yaml(storage: Storage, issues: Issues, tmp_path: Path) -> None:
    text = written(storage, tmp_path, "yaml").read_text("utf-8")
    assert yaml.safe_load(text) == issues
    tokens = {type(token) for token in yaml.scan(text)}
    assert not tokens & {yaml.TagToken, yaml.AnchorToken, yaml.AliasToken}


def spreadsheet(value: Any) -> Any:
    """A value as CSV and XLSX have it."""
    if isinstance(value, dict):
        value = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def test_csv(storage: Storage, issues: Issues, tmp_path: Path) -> None:
    path = written(storage, tmp_path, "csv")
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
    assert list(rows[0]) == list(COLUMNS)
    for row, issue in zip(rows, issues, strict=True):
        for name in set(COLUMNS) - {"timestamp", "issue_index", *JSON_COLUMNS}:
            assert row[name] == (spreadsheet(issue[name]) or ""), name
        for name in JSON_COLUMNS:
            assert (json.loads(row[name]) if row[name] else None) == issue[name]
        assert not any(cell.startswith(FORMULA_STARTS) for cell in row.values())


def test_csv_has_types_for_polars(storage: Storage, issues: Issues, tmp_path: Path) -> None:
    frame = pl.read_csv(written(storage, tmp_path, "csv"), try_parse_dates=True)
    assert frame.schema["issue_index"] == pl.Int64
    assert frame["issue_index"].to_list() == [i["issue_index"] for i in issues]
    assert frame.schema["timestamp"] == pl.Datetime("us", "UTC")
    assert frame["timestamp"][-1] == datetime(2025, 8, 28, 8, 0, 0, 250_000, UTC)


def test_parquet(storage: Storage, issues: Issues, tmp_path: Path) -> None:
    path = written(storage, tmp_path, "parquet")
    schema = pq.ParquetFile(path).schema_arrow
    assert {str(schema.field(n).type) for n in COLUMNS} == {"string", "int32", "timestamp[us, tz=UTC]"}
    assert schema.field("severity").type == pa.string()
    assert schema.metadata is None
    for table in (pq.read_table(path).to_pylist(), pl.read_parquet(path).to_dicts()):
        for row, issue in zip(table, issues, strict=True):
            for name in JSON_COLUMNS:
                row[name] = row[name] and json.loads(row[name])
            row["timestamp"] = row["timestamp"].isoformat().replace("+00:00", "Z")
            assert row == issue


def test_xlsx(storage: Storage, issues: Issues, tmp_path: Path) -> None:
    path = written(storage, tmp_path, "xlsx")
    book = openpyxl.load_workbook(path)
    assert book.properties.created == datetime(2000, 1, 1)
    sheet = book.active
    rows = list(sheet.iter_rows())
    assert [cell.value for cell in rows[0]] == list(COLUMNS)
    for row, issue in zip(rows[1:], issues, strict=True):
        cells = dict(zip(COLUMNS, row, strict=True))
        assert cells["issue_index"].value == issue["issue_index"]
        assert cells["timestamp"].value == datetime.fromisoformat(issue["timestamp"]).replace(tzinfo=None)
        assert not any(cell.data_type == "f" for cell in row)
        assert not any(str(cell.value).startswith(FORMULA_STARTS) for cell in row)
        if re.fullmatch(r"[\x20-\x7e]+", issue["description"]) and "_x" not in issue["description"]:
            assert cells["description"].value == spreadsheet(issue["description"])
    with zipfile.ZipFile(path) as parts:
        sheets = [parts.read(n) for n in parts.namelist() if "sheet" in n]
    assert not any(b"<f>" in content or b"<hyperlink" in content for content in sheets)


def test_xlsx_goes_on_with_another_sheet(
    storage: Storage, issues: Issues, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "SHEET_ROWS", 11)
    book = openpyxl.load_workbook(written(storage, tmp_path, "xlsx"))
    assert book.sheetnames == ["Issues", "Issues 2", "Issues 3"]
    indices = [row[1] for sheet in book for row in list(sheet.iter_rows(values_only=True))[1:]]
    assert indices == [issue["issue_index"] for issue in issues]


def test_xlsx_cuts_what_no_cell_holds(tmp_path: Path) -> None:
    [run] = run_documents()[1:2]
    run["issues_list"] = [{"severity": "low", "description": "x" * 40_000}]
    path = written(filled(tmp_path / "lake", [run]), tmp_path, "xlsx")
    description = openpyxl.load_workbook(path).active.cell(2, COLUMNS.index("description") + 1).value
    assert len(description) == xlsx.CELL_CHARACTERS
    assert description.endswith("x … [cut]")


def seen(text: str) -> str:
    """A text as a page shows it: control characters replaced, white space folded."""
    return " ".join(re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e\uffff]", "\ufffd", text).split())


def test_html(storage: Storage, issues: Issues, tmp_path: Path) -> None:
    text = written(storage, tmp_path, "html").read_text("utf-8")
    page = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    tags = {element.tag for element in page.iter() if isinstance(element.tag, str)}
    assert not tags & {"script", "img", "a", "b", "iframe", "link", "form", "object"}
    assert not [e for e in page.iter() for name in e.attrib if name.startswith("on") or name == "style"]
    tables = page.findall(".//table")
    rows = tables[1].findall("./tbody/tr")
    for row, issue in zip(rows, issues, strict=True):
        cells = dict(zip(COLUMNS, ("".join(cell.itertext()) for cell in row), strict=True))
        assert seen(cells["description"]) == seen(issue["description"])
        assert cells["severity"] == issue["severity"]
        assert (json.loads(cells["details"]) if cells["details"] else None) is not None or not issue[
            "details"
        ]


def test_html_policy_lets_nothing_through_but_its_own_style(storage: Storage, tmp_path: Path) -> None:
    text = written(storage, tmp_path, "html").read_text("utf-8")
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    [style] = re.findall(r"<style>(.*?)</style>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy


def test_markdown(storage: Storage, issues: Issues, tmp_path: Path) -> None:
    text = written(storage, tmp_path, "markdown").read_text("utf-8")
    parser = MarkdownIt("gfm-like", {"linkify": False}).enable("table")
    tokens = parser.parse(text)
    inline = [token for token in tokens if token.type == "inline"]
    kinds = {child.type for token in inline for child in token.children or ()}
    assert kinds <= {"text", "text_special"}, kinds
    heads = 1 + 5 + 2 * 5 + len(COLUMNS)
    cells = ["".join(child.content for child in token.children or ()) for token in inline][heads:]
    for number, issue in enumerate(issues):
        row = dict(zip(COLUMNS, cells[number * len(COLUMNS) :], strict=False))
        assert seen(row["description"]) == seen(issue["description"])
        assert seen(row["file_path"]) == seen(issue["file_path"] or "")
        assert row["severity"] == issue["severity"]


def pdf_text(path: Path) -> list[str]:
    return [page.extract_text().replace("\u200b", "") for page in PdfReader(path).pages]


def test_pdf(storage: Storage, tmp_path: Path) -> None:
    path = written(storage, tmp_path, "pdf")
    metadata = PdfReader(path).metadata
    assert metadata is not None
    assert metadata.creation_date is None
    pages = pdf_text(path)
    assert "28 issues of 2 plugins" in pages[0]
    assert "Summary" in pages[1]
    assert "By severity" in pages[1]
    assert "By plugin" in pages[1]
    whole = "\n".join(pages)
    titles = [f"{s} ({n})" for s, n in (("Critical", 6), ("High", 8), ("Medium", 6), ("Low", 8))]
    places = [whole.index(title) for title in titles]
    assert places == sorted(places)
    for number, page in enumerate(pages, 1):
        assert f"{number} / {len(pages)}" in page
    squeezed = re.sub(r"\s", "", whole)
    for text in HOSTILE:
        if text.isascii() and text.isprintable():
            assert re.sub(r"\s", "", text) in squeezed, text
    assert not [a for page in PdfReader(path).pages for a in page.get("/Annots") or ()]


def test_pdf_wraps_long_paths(tmp_path: Path) -> None:
    [run] = run_documents()[1:2]
    long_path = "src/" + "a" * 300 + "/" + "deep/" * 60 + "end.py"
    run["issues_list"] = [{"severity": "low", "description": "d" * 400, "file_path": long_path}]
    path = written(filled(tmp_path / "lake", [run]), tmp_path, "pdf")
    right = []

    def look(text: str, _: Any, matrix: list[float], *__: Any) -> None:
        if text.strip():
            right.append(matrix[4])

    for page in PdfReader(path).pages:
        page.extract_text(visitor_text=look)
    assert long_path in re.sub(r"\s", "", "".join(pdf_text(path)))
    assert max(len(line) for page in pdf_text(path) for line in page.splitlines()) < 140


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_issues_are_the_same_bytes(storage: Storage, tmp_path: Path, name: str) -> None:
    first = written(storage, tmp_path, name, manifest=True)
    beside = Path(f"{first}.manifest.json")
    before = first.read_bytes(), beside.read_bytes()
    first.unlink()
    beside.unlink()
    written(storage, tmp_path, name, manifest=True)
    assert (first.read_bytes(), beside.read_bytes()) == before


_AGAIN = """
import sys
from assets.exports import export
from assets.exports.formats import FORMATS
from assets.query import Query
from resources.config import open_storage
for name in FORMATS:
    for day in (None, "2025-08-29"):
        path = f"{sys.argv[2]}/{name}-{day}"
        export(open_storage(sys.argv[1]), Query(date_from=day), name, path)
"""


def test_the_same_issues_are_the_same_bytes_in_another_lake_process_place_and_second(
    storage: Storage, tmp_path: Path
) -> None:
    """No format is declared to be anything else."""
    assert all(format.reproducible for format in FORMATS.values())
    environments = (
        (storage, {"TZ": "UTC", "PYTHONHASHSEED": "1", "LC_ALL": "C.UTF-8"}),
        # Run by run: DuckDB knows other things of two files of a day than of one.
        (None, {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "2", "LC_ALL": "C"}),
    )
    found: list[dict[str, str]] = []
    for lake, environment in environments:
        if found:
            time.sleep(2.1)  # a zip tells every other second
        folder = tmp_path / environment["PYTHONHASHSEED"]
        folder.mkdir()
        if lake is None:
            for document in run_documents():
                lake = filled(tmp_path / "lake", [document])
        subprocess.run(
            [sys.executable, "-c", _AGAIN, lake.backend.url, str(folder)],
            cwd=folder,
            env=os.environ | environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
            check=True,
        )
        found.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()})
    assert len(found[0]) == 2 * len(FORMATS)
    assert found[0] == found[1]


@pytest.mark.parametrize("name", FORMATS)
def test_no_issue_at_all(storage: Storage, tmp_path: Path, name: str) -> None:
    path = written(storage, tmp_path, name, Query(plugin_name="nobody"))
    content = path.read_bytes()
    if name == "json":
        assert json.loads(content) == []
    elif name == "yaml":
        assert yaml.safe_load(content) == []
    elif name == "csv":
        assert content.decode().splitlines() == [",".join(COLUMNS)]
    elif name == "parquet":
        assert pq.read_table(path).num_rows == 0
    elif name == "xlsx":
        assert openpyxl.load_workbook(path).active.max_row == 1
    elif name == "sarif":
        assert json.loads(content)["runs"] == []
    elif name == "pdf":
        assert "0 issues of 0 plugins" in pdf_text(path)[0]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "severity": st.sampled_from(["critical", "high", "medium", "low"]),
                "description": st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
                "details": st.dictionaries(
                    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
                    st.recursive(
                        st.none()
                        | st.booleans()
                        | st.integers(-(2**70), 2**70)
                        | st.floats(allow_nan=False, allow_infinity=False)
                        | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
                        lambda inner: st.lists(inner, max_size=3),
                        max_leaves=4,
                    ),
                    max_size=3,
                ),
            }
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_text_and_details_come_back(
    tmp_path_factory: pytest.TempPathFactory, issues_list: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    run = {"validation_run_id": "r", "timestamp": "2025-01-01T00:00:00Z", "issues_list": issues_list}
    storage = filled(folder / "lake", [run])
    for name, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        back = read(written(storage, folder, name).read_text("utf-8"))
        assert [i["description"] for i in back] == [i["description"] for i in issues_list]
        assert [i["details"] or {} for i in back] == [i["details"] for i in issues_list]
    frame = csv.DictReader(io.StringIO(written(storage, folder, "csv").read_bytes().decode(), newline=""))
    assert [row["description"] for row in frame] == [spreadsheet(i["description"]) for i in issues_list]
