"""What a report says, of which days, and that it says the same again."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from base64 import b64decode
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import altair as alt
import pytest
from pypdf import PdfReader

from assets.problems.listing import Filters, problems
from assets.problems.relation import Asked as ProblemsAsked
from assets.report import figures as report_figures
from assets.report.charts import draw
from assets.report.page import COLOURS
from assets.report.pdf import COLOURS as ON_PAPER
from assets.report.publishing import publish_week
from assets.report.writing import Made, choose, make
from assets.trends import figures as trends
from assets.trends.model import Asked as TrendsAsked
from assets.trends.model import Grain
from resources.backend import Backend
from resources.config import open_storage
from resources.errors import UsageError
from tests.problems.histories import FIRST, Run, store
from tests.report.conftest import EVAL, asked, history


def payload(content: bytes) -> Any:
    [data] = re.findall(rb'id="data">([^<]*)<', content)
    return json.loads(zlib.decompress(b64decode(data), -zlib.MAX_WBITS))


def embedded(content: bytes) -> Any:
    [text] = re.findall(rb'id="manifest">(.*?)</script>', content, re.S)
    return json.loads(text)


def test_a_report_is_about_the_newest_week_and_the_one_before(lake: Backend) -> None:
    about = asked(lake)
    assert (about.first, about.last) == (date(2025, 4, 3), date(2025, 4, 9))
    assert about.before == (date(2025, 3, 27), date(2025, 4, 2))
    assert about.as_of == datetime(2025, 4, 9, 12, tzinfo=UTC)
    assert about.grain is Grain.DAY
    assert asked(lake, first=date(2024, 8, 1)).grain is Grain.WEEK
    assert asked(lake, first=date(2010, 1, 1)).grain is Grain.MONTH
    assert asked(lake, plugin="demo").last == date(2025, 4, 8)
    earlier = asked(lake, last=date(2025, 3, 10))
    assert earlier.as_of == datetime(2025, 3, 10, 23, 59, 59, 999999, UTC)
    assert asked(lake, first=date.min).before == (date.min, date.min)


def test_days_that_contradict_each_other_are_refused(lake: Backend, tmp_path: Path) -> None:
    moment = datetime(2025, 4, 8, 11, tzinfo=UTC)
    for given in (
        {"first": date(2025, 4, 10)},
        {"last": date(2025, 4, 9), "as_of": moment},
        {"last": date(2020, 1, 1)},
        {"plugin": "nobody"},
    ):
        with pytest.raises(UsageError):
            asked(lake, **given)
    with pytest.raises(UsageError, match="no run"):
        asked(open_storage(str(tmp_path / "empty")).backend)
    store(lake_of_two := open_storage(str(tmp_path / "two")).backend, [Run("a", 0), Run("b", 1)])
    with pytest.raises(UsageError, match="runs after 12:30"):
        asked(lake_of_two, as_of=FIRST + timedelta(minutes=30))
    assert asked(lake_of_two, as_of=FIRST + timedelta(hours=9)).as_of == FIRST + timedelta(hours=9)


def test_the_figures_are_those_of_trends_and_problems(lake: Backend) -> None:
    for given in ({}, {"first": date(2025, 3, 1)}, {"plugin": "demo"}, {"last": date(2025, 3, 31)}):
        about = asked(lake, **given)
        found = report_figures.read(lake, about)
        whole = trends.periods(lake, TrendsAsked(about.first, about.last, about.plugin, Grain.DAY))
        whole = [period for period in whole if period.target_plugin is None]
        for name in ("runs", "total_issues", "new", "reopened", "fixed"):
            assert getattr(found.flow, name) == sum(getattr(period, name) for period in whole), name
        assert found.open == whole[-1].open
        page = problems(lake, Filters(plugin=about.plugin), ProblemsAsked(about.as_of))
        assert found.open == page.total == found.rows.num_rows
        assert sum(age.open for age in found.ages) == found.open
        breached = problems(lake, Filters(plugin=about.plugin, sla="breached"), ProblemsAsked(about.as_of))
        assert sum(row.breached for row in found.standing) == breached.total
        assert sum(row.triaged for row in found.standing) == (about.last >= date(2025, 4, 5))
        before = datetime.combine(about.before[1], datetime.max.time(), UTC)
        then = problems(lake, Filters(plugin=about.plugin), ProblemsAsked(before))
        assert sum(row.open for row in found.standing_before) == then.total
    week = report_figures.read(lake, asked(lake))
    assert week.flow.average_score == pytest.approx((80 + 50) / 2)
    assert week.flow_before.average_score == 72
    assert [(tops.column, tops.names) for tops in week.tops] == [
        ("target_plugin", 2),
        ("category", 2),
        ("rule", 3),
        ("file_path", 5),
    ]
    assert [day.total_issues for day in week.days] == [11, 7, 2, 9, 8, 3]


def test_the_same_lake_and_selection_are_the_same_bytes(lake: Backend, made: Made, tmp_path: Path) -> None:
    assert make(lake, asked(lake), "html").content == made.content
    again = open_storage(str(tmp_path / "again")).backend
    for run in history():  # in other batches, and so in other files
        store(again, [run])
    one, two = (make(again, asked(again), "html") for _ in range(2))
    again.maintain(timedelta(0))
    three = make(again, asked(again), "html")
    assert one.content == two.content == three.content
    assert one.content != made.content  # nothing is accepted there
    on_paper = [make(again, asked(again), "pdf").content for _ in range(2)]
    assert on_paper[0] == on_paper[1]
    until = date(2025, 4, 8)
    before = make(again, asked(again, last=until), "html").content
    store(again, [Run("later", 24 * 40, (EVAL,))])
    assert make(again, asked(again, last=until), "html").content == before
    assert make(again, asked(again), "html").content != one.content


def test_the_manifest_says_what_it_was_made_of(lake: Backend, made: Made) -> None:
    inside = embedded(made.content)
    [data] = re.findall(rb'id="data">([^<]*)<', made.content)
    raw = zlib.decompress(b64decode(data), -zlib.MAX_WBITS)
    assert inside["data_sha256"] == hashlib.sha256(raw).hexdigest()
    assert inside["selection"]["as_of"] == "2025-04-09T12:00:00Z"
    assert inside["selection"]["sla_days"] == {"critical": 7, "high": 30, "medium": 90, "low": 180}
    assert (inside["lake"]["runs"], inside["lake"]["issues"], inside["lake"]["decisions"]) == (6, 40, 1)
    assert len(inside["lake"]["days"]) == 6
    assert inside["counts"]["open"] == {"critical": 2, "high": 1, "medium": 2, "low": 6}
    beside = json.loads(made.beside("s3://bucket/report.html"))
    assert beside["file"] == "report.html"
    assert beside["sha256"] == hashlib.sha256(made.content).hexdigest()
    assert {name: beside[name] for name in inside if name != "data_sha256"} == {
        name: inside[name] for name in inside if name != "data_sha256"
    }


def test_the_table_holds_every_open_problem(lake: Backend, made: Made) -> None:
    table = payload(made.content)["table"]
    page = problems(lake, Filters(), ProblemsAsked(asked(lake).as_of))
    assert table["count"] == page.total

    def column(name: str) -> list[Any]:
        packed = table["columns"][name]
        return [None if code < 0 else packed["values"][code] for code in packed["codes"]]

    for name in (
        "severity",
        "status",
        "target_plugin",
        "category",
        "rule",
        "file_path",
        "description",
        "triage",
    ):
        assert column(name) == [row[name] for row in page.problems], name
    assert [text[:12] for text in (row["fingerprint"] for row in page.problems)] == re.findall(
        ".{12}", table["fingerprint"]
    )
    assert [datetime.fromtimestamp(us / 1e6, UTC) for us in column("opened_at")] == [
        row["opened_at"] for row in page.problems
    ]


@pytest.mark.parametrize("colours", [COLOURS, ON_PAPER], ids=["page", "paper"])
def test_the_charts_are_vega_lite(lake: Backend, made: Made, colours: Any) -> None:
    longer = report_figures.read(lake, asked(lake, first=date(2015, 1, 1)))
    for found in (made.figures, longer):
        for chart in draw(found, colours):
            config = dict(chart.spec.pop("config"), background="white")
            kind = alt.LayerChart if "layer" in chart.spec else alt.Chart
            kind.from_dict({**chart.spec, "config": config}, validate=True)
            assert all(len(row) == len(chart.heads) for row in chart.rows)


def test_a_pdf_says_the_same(lake: Backend, made: Made, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(make(lake, asked(lake), "pdf").content)
    pdf = PdfReader(path)
    text = "\n".join(page.extract_text() for page in pdf.pages).replace("\u200b", "")
    for wanted in (
        "All plugins",
        "3–9 Apr 2025",
        "Open problems",
        "eval is used",
        "src/pay.py",
        "shop & sons",
        "32 d late",
    ):
        assert wanted in text, wanted
    [attached] = pdf.attachments["manifest.json"]
    assert json.loads(attached) == json.loads(json.dumps(made.manifest, default=str)) | json.loads(attached)


def test_hostile_texts_are_texts_on_paper_too(hostile: Backend, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(make(hostile, asked(hostile), "pdf").content)
    text = "\n".join(page.extract_text() for page in PdfReader(path).pages).replace("\u200b", "")
    assert "<script>alert(1)</script>" in text.replace("\n", "")
    assert '[#eval("1+1")]' in text.replace("\n", " ")


def test_the_format_is_that_of_the_suffix() -> None:
    assert [choose(None, path) for path in ("a.html", "a.htm", "a", "-", "s3://b/r.PDF")] == [
        "html",
        "html",
        "html",
        "html",
        "pdf",
    ]
    assert choose("pdf", "a.html") == "pdf"
    for name, path in ((None, "a.docx"), ("docx", "a.html")):
        with pytest.raises(UsageError, match="html, pdf"):
            choose(name, path)


def test_the_week_is_published_in_the_storage_or_where_it_is_to_be(tmp_path: Path) -> None:
    backend = open_storage(str(tmp_path / "lake")).backend
    store(backend, history())
    done = publish_week(backend)
    assert re.fullmatch(r"reports/issues-2025-04-09-[0-9a-f]{12}\.html", done.path)
    assert (tmp_path / "lake" / done.path).read_bytes() == done.made.content
    assert publish_week(backend).path == done.path
    assert len(list((tmp_path / "lake" / "reports").iterdir())) == 2
    elsewhere = publish_week(backend, str(tmp_path / "out"))
    assert Path(elsewhere.path).read_bytes() == done.made.content
    manifest = json.loads(Path(elsewhere.path + ".manifest.json").read_bytes())
    assert manifest["file"] == "issues-2025-04-09.html"
    with pytest.raises(UsageError, match="own folder"):
        publish_week(backend, str(tmp_path / "lake" / "runs"))


def test_an_encrypted_storage_gets_no_report_that_anybody_can_read(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        f"storage_backend: local_file\nstorage_config: {{local_file: {{storage_path: {tmp_path / 'lake'},"
        f" encryption_key: '{'00' * 32}'}}}}\n"
    )
    backend = open_storage(config=str(config)).backend
    store(backend, history())
    with pytest.raises(UsageError, match="ISSUELAKE_REPORT_TO"):
        publish_week(backend)
    assert publish_week(backend, str(tmp_path / "out")).made.figures.open == 11
