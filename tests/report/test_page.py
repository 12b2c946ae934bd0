"""The page in a real browser: offline, under its own content security policy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from pypdf import PdfReader

from assets.report.writing import Made, make
from resources.backend import Backend
from tests.report.conftest import LINE_ENDS, Open, Opened, asked

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


def chips(opened: Opened) -> list[str]:
    return [
        re.sub(r"×.*", "", text, flags=re.S) for text in opened.page.locator("#chips li").all_inner_texts()
    ]


def test_it_opens_offline_and_nothing_is_complained_about(made: Made, opening: Open) -> None:
    with opening(made.content) as opened:
        page = opened.page
        assert page.locator("h1").inner_text() == "All plugins"
        assert page.locator(".drawing svg").count() == 5
        for chart in ("severity", "flow", "score", "ages"):
            assert page.locator(f"#chart-{chart} svg path").count() > 3
        page.locator(".figures summary").first.click()
        page.locator('#chart-severity path[aria-label*="severity: low"]').first.hover()
        assert page.locator("#vg-tooltip-element.visible").count() == 1
        assert page.locator("footer summary").click() is None
        assert '"data_sha256"' in page.locator("#manifest-text").inner_text()
        assert opened.complaints() == []


def test_the_policy_lets_nothing_else_run_or_load(made: Made, opening: Open) -> None:
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', made.content.decode())
    directives = dict(part.strip().split(" ", 1) for part in policy.replace("&#39;", "'").split(";"))
    assert directives["default-src"] == directives["base-uri"] == directives["form-action"] == "'none'"
    assert set(directives) == {"default-src", "script-src", "style-src", "base-uri", "form-action"}
    for sources in (directives["script-src"], directives["style-src"]):
        assert all(re.fullmatch(r"'sha256-[\w+/]{43}='", source) for source in sources.split())
    with opening(made.content) as opened:
        opened.page.evaluate(
            """() => {
              const script = document.createElement("script");
              script.textContent = "window.owned = 1";
              document.body.append(script);
              const image = "<img src=http://127.0.0.1:9/x onerror='owned = 2'>";
              document.body.insertAdjacentHTML("beforeend", image);
            }"""
        )
        opened.page.evaluate("() => { try { setTimeout('window.owned = 3') } catch { } }")
        opened.page.wait_for_timeout(50)
        assert opened.page.evaluate("window.owned") is None
        assert len([text for text in opened.complaints() if "Content Security Policy" in text]) >= 3


def test_what_the_figures_say_is_what_the_table_shows(made: Made, opening: Open) -> None:
    figures = made.figures
    with opening(made.content) as opened:
        page = opened.page
        values = dict(
            zip(
                page.locator(".card .name").all_inner_texts(),
                page.locator(".card .value").all_inner_texts(),
                strict=True,
            )
        )
        assert values["Open problems"] == str(figures.open) == "11"
        assert opened.count == "11 problems"
        for card in ("Critical or high", "Past their SLA", "New"):
            page.get_by_role("button", name=f"Show: {card}").click()
            assert opened.count == f"{values[card]} of 11 problems", card
        for tops in figures.tops:
            panel = page.locator(".panel", has=page.get_by_role("heading", name=tops.title))
            for place, row in enumerate(tops.rows):
                panel.get_by_role("button").nth(place).click()
                assert opened.count in (f"{row.open} of 11 problems", f"{row.open} problems"), (
                    tops.title,
                    row,
                )
        page.get_by_role("button", name="Clear all").click()
        page.locator("[data-select=sla]").select_option("soon")
        assert opened.count == f"{sum(row.due_soon for row in figures.standing)} of 11 problems"
        for number in page.locator(".sla button").all():
            number.click()
            many = number.inner_text().split()[0]
            assert opened.count == f"{many} of 11 problems"


def test_a_click_on_a_chart_shows_its_problems(made: Made, opening: Open) -> None:
    with opening(made.content) as opened:
        page = opened.page
        [old] = [age for age in made.figures.ages if (age.severity, age.bucket) == ("low", 2)]
        page.locator('#chart-ages path[aria-label*="severity: low"][aria-label*="1 to 3 months"]').click()
        assert chips(opened) == ["age: 1 to 3 months", "severity: low"]
        assert opened.count == f"{old.open} of 11 problems"
        page.locator('#chart-map [aria-label*="2025-04-09"]').click()
        assert chips(opened) == ["came up: 2025-04-09"]
        assert opened.count == "1 of 11 problems"


def test_search_filters_and_sorting(made: Made, opening: Open) -> None:
    with opening(made.content) as opened:
        page = opened.page
        page.get_by_role("searchbox").fill("  LONG 0.py ")
        opened.counted("3 of 11 problems")
        page.get_by_label("Plugin").select_option("shop & sons")
        assert opened.count == "1 of 11 problems"
        assert chips(opened) == ["plugin: shop & sons"]
        page.get_by_role("button", name="plugin: shop & sons").click()
        assert opened.count == "3 of 11 problems"
        page.get_by_role("button", name="Clear all").click()
        assert opened.count == "11 problems"
        page.get_by_role("button", name="critical", exact=True).click()
        page.get_by_role("button", name="high", exact=True).click()
        assert set(opened.column("severity")) == {"critical", "high"}
        assert opened.count == "3 of 11 problems"
        page.get_by_role("button", name="critical", exact=True).click()
        assert opened.column("severity") == ["high"]
        page.get_by_role("button", name="Clear all").click()
        page.get_by_label("Triage").select_option("accepted")
        assert opened.column("left") == ["accepted"]
        page.get_by_label("Triage").select_option("")
        page.locator("[data-select=sla]").select_option("breached")
        assert all("late" in text for text in opened.column("left"))
        page.get_by_role("button", name="Clear all").click()
        for name, key in (
            ("Problem", "description"),
            ("Age", "age"),
            ("SLA", "left"),
            ("Plugin", "target_plugin"),
        ):
            button = page.get_by_role("columnheader", name=name).get_by_role("button")
            button.click()
            up = opened.column(key)
            assert page.get_by_role("columnheader", name=name).get_attribute("aria-sort") == "ascending"
            button.click()
            assert page.get_by_role("columnheader", name=name).get_attribute("aria-sort") == "descending"
            known = [text for text in up if text != "accepted"]
            assert sorted(known, key=_sort_key) == known, name
            assert [_sort_key(t) for t in opened.column(key) if t != "accepted"] == sorted(
                map(_sort_key, known), reverse=True
            ), name
            assert ("accepted" not in up) or (up[-1] == opened.column(key)[-1] == "accepted")
        page.get_by_role("searchbox").fill("no such thing")
        page.wait_for_selector("#nothing:visible")
        assert opened.complaints() == []


def _sort_key(text: str) -> tuple[float, str]:
    found = re.fullmatch(r"(\d+) d( late| left)?", text)
    return (0.0, text) if found is None else (float(found[1]) * (-1 if found[2] == " late" else 1), "")


def test_a_keyboard_is_enough(made: Made, opening: Open) -> None:
    with opening(made.content) as opened:
        page = opened.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the open problems"
        page.keyboard.press("Enter")
        page.get_by_role("button", name="security 3 open").focus()
        page.keyboard.press("Enter")
        assert chips(opened) == ["category: security"]
        page.locator("tbody .problem").first.focus()
        page.keyboard.press("ArrowDown")
        focused = "document.activeElement.closest('tr').getAttribute('aria-rowindex')"
        assert page.evaluate(focused) == "3"
        page.keyboard.press("End")
        assert page.evaluate(focused) == "4"
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        assert dialog.get_by_role("heading").inner_text() == "eval is used"
        assert "B307" in dialog.inner_text()
        page.keyboard.press("Escape")
        assert dialog.count() == 0
        assert page.evaluate(focused) == "2"
        page.keyboard.press("Enter")
        dialog.get_by_role("button", name="src/pay.py").click()
        assert chips(opened) == ["file: src/pay.py"]


def test_light_dark_and_paper(made: Made, opening: Open, tmp_path: Path) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    bar = "getComputedStyle(document.querySelector('#chart-severity [role=graphics-symbol][fill]')).fill"
    with opening(made.content, color_scheme="dark") as opened:
        page = opened.page
        dark, dark_bar = page.evaluate(colour), page.evaluate(bar)
        page.get_by_label("Theme").select_option("light")
        light, light_bar = page.evaluate(colour), page.evaluate(bar)
        assert dark != light
        assert dark_bar != light_bar
        page.get_by_label("Theme").select_option("dark")
        assert page.evaluate(colour) == dark
        page.emulate_media(media="print")
        assert page.evaluate(colour) == "rgb(255, 255, 255)"
        assert page.evaluate(bar) == light_bar
        page.emulate_media(media="null")
        printed = tmp_path / "printed.pdf"
        page.pdf(path=str(printed), format="A4")
        text = "\n".join(part.extract_text() for part in PdfReader(printed).pages)
        for wanted in (
            "Open problems",
            "eval is used",
            "src/pay.py",
            "nothing is known",
            "Issues reported",
        ):
            assert wanted in text
        assert "Theme" not in text
        assert page.evaluate(colour) == dark


def test_on_a_phone_nothing_is_wider_than_the_screen(made: Made, opening: Open) -> None:
    with opening(made.content, **PHONE) as opened:
        page = opened.page
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.locator("tbody td.description").first.bounding_box()["width"] > 180  # type: ignore[index]
        page.locator("tbody .problem").first.tap()
        assert page.get_by_role("dialog").is_visible()


def test_axe_finds_nothing(made: Made, opening: Open) -> None:
    with opening(made.content, bypass_csp=True) as opened:  # axe puts a script of its own in
        page = opened.page
        for summary in page.locator("summary").all():
            summary.click()
        assert found_by_axe(page) == []
        page.locator("tbody .problem").first.click()
        assert found_by_axe(page) == []


@pytest.mark.parametrize("whose", ["theirs", "hostile"])
def test_axe_finds_nothing_in_the_dark_on_a_phone(
    whose: str, made: Made, hostile: Backend, opening: Open
) -> None:
    content = make(hostile, asked(hostile), "html").content if whose == "hostile" else made.content
    with opening(content, **PHONE, color_scheme="dark", bypass_csp=True) as opened:
        page = opened.page
        assert found_by_axe(page) == []
        page.get_by_role("searchbox").fill("no such thing")
        page.locator("#nothing:visible").wait_for()
        assert found_by_axe(page) == []


def found_by_axe(page: Page) -> list[tuple[str, str, list[Any]]]:
    violations = Axe().run(page).response["violations"]
    return [(v["impact"], v["id"], [node["target"] for node in v["nodes"]]) for v in violations]


def test_fifty_thousand_rows_are_a_hundred_elements(large: Backend, opening: Open) -> None:
    made = make(large, asked(large), "html")
    assert len(made.content) < 5_000_000
    with opening(made.content) as opened:
        page = opened.page
        assert opened.count == "50,000 problems"
        assert page.locator("#table").get_attribute("aria-rowcount") == "50001"
        assert page.locator("#table tbody tr").count() < 100
        page.locator("tbody .problem").first.focus()
        page.keyboard.press("End")
        assert page.evaluate("document.activeElement.closest('tr').getAttribute('aria-rowindex')") == "50001"
        assert page.locator("#table tbody tr").count() < 100
        page.get_by_role("searchbox").fill("problem ejjjjz")
        opened.counted("1 of 50,000 problems")
        assert opened.problems() == ["problem ejjjjz"]
        page.get_by_role("button", name="Clear all").click()
        page.get_by_role("columnheader", name="Problem").get_by_role("button").click()
        assert opened.problems()[:2] == sorted(opened.problems())[:2]
        page.locator("#rows").evaluate("element => { element.scrollTop = element.scrollHeight / 2 }")
        page.locator('#table tbody tr[aria-rowindex="25001"]').wait_for()
        assert opened.complaints() == []


def test_hostile_texts_are_texts(hostile: Backend, opening: Open) -> None:
    made = make(hostile, asked(hostile), "html")
    with opening(made.content) as opened:
        page = opened.page
        assert opened.count == f"{made.figures.open} problems"
        texts = "\n".join(page.locator("main").all_inner_texts())
        assert "<script>alert(1)</script><img src=x onerror=alert(2)>" in texts
        assert '"><img src=x onerror=alert(1)></script>' in texts
        assert "\u202e" not in texts
        assert page.locator("img, iframe, object, embed, a[href^=http]").count() == 0
        assert page.locator("script").count() == 4
        page.get_by_role("searchbox").fill("window.owned")
        opened.counted(f"1 of {made.figures.open} problems")
        page.locator("tbody .problem").first.click()
        assert LINE_ENDS.split()[0] in page.get_by_role("dialog").inner_text()
        for name in ("File", "Category", "Rule"):
            assert name in page.get_by_role("dialog").inner_text()
        page.get_by_role("dialog").get_by_role("button", name=LINE_ENDS[:20]).first.click()
        assert opened.count.startswith("1 of")
        assert page.evaluate("window.owned") is None
        assert opened.complaints() == []
