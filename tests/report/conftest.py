"""Reports of three lakes, opened in one real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from assets.problems import triage
from assets.problems.sla import DEFAULT_DAYS
from assets.report.model import Asked
from assets.report.selection import select
from assets.report.writing import Made, make
from resources.backend import Backend
from resources.config import open_storage
from tests import servers
from tests.exports.conftest import filled as filled_with
from tests.exports.conftest import run_documents
from tests.problems.histories import FIRST, Issue, Run, store

CHROMIUM = "chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LINE_ENDS = "</script><!--<script>window.owned = 1</script> \u2028 \u2029 ]]> ${1} `"

_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""

EVAL = Issue("eval is used", "security", "src/pay.py", "critical", rule="B307")
SHELL = Issue("a shell is started", "security", "src/run.py", "high", rule="B602")
LONG = [
    Issue(f"line {chr(97 + n)} is too long", "style", f"src/{n % 3}.py", "low", rule="E501") for n in range(9)
]
NONE = Issue("nothing is known", None, None, "medium")


def days(number: int) -> int:
    return 24 * number


def history() -> list[Run]:
    """Two plugins over 40 days: something was fixed, something came back, most of it stays."""
    early = [
        Run("a-0", days(0), (EVAL, SHELL, *LONG), score=60),
        Run("a-1", days(5), (EVAL, *LONG[:6]), score=70),
        Run("a-2", days(30), (EVAL, SHELL, *LONG[:6], NONE), score=72),
        Run("a-3", days(38), (EVAL, SHELL, *LONG[:5], NONE), score=80),
    ]
    other = [
        Run("b-0", days(20), (LONG[0], NONE), plugin="shop & sons", score=90),
        Run("b-1", days(39), (LONG[0], NONE, EVAL), plugin="shop & sons", score=50),
    ]
    return early + other


def asked(lake: Backend, **given: Any) -> Asked:
    return select(lake, DEFAULT_DAYS, **given)


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    opened = open_storage(str(tmp_path_factory.mktemp("report") / "lake")).backend
    runs = history()
    store(opened, runs)
    [accepted] = [print for print, issue in runs[0].prints().items() if issue is LONG[1]]
    when = FIRST + timedelta(days=35)
    triage.take_in(
        opened.files,
        [triage.Decision(when, accepted, "accepted", "it <i>is</i> long", "eve", date(2030, 1, 1))],
    )
    return opened


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """Texts that are out to do harm, wherever a text can stand."""
    documents = run_documents()
    documents[0]["issues_list"].append(
        {
            "severity": "critical",
            "description": LINE_ENDS,
            "category": LINE_ENDS,
            "file_path": LINE_ENDS,
            "details": {"rule": LINE_ENDS},
        }
    )
    documents[0]["target_plugin"] = '"><img src=x onerror=alert(1)></script>'
    return filled_with(tmp_path_factory.mktemp("hostile") / "lake", documents).backend


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """50,000 open problems."""
    opened = open_storage(str(tmp_path_factory.mktemp("large") / "lake")).backend
    severities = ("critical", "high", "medium", "low", "low")
    issues = tuple(
        Issue(
            f"problem {_word(n)}", "style", f"src/{_word(n % 900)}.py", severities[n % 5], rule=f"R{n % 40}"
        )
        for n in range(50_000)
    )
    store(opened, [Run("large", 0, issues)])
    return opened


def _word(number: int) -> str:
    """A name without digits, which fingerprints would fold."""
    return "".join(chr(97 + int(digit)) for digit in str(number)) + "z"


@pytest.fixture(scope="session")
def made(lake: Backend) -> Made:
    return make(lake, asked(lake), "html")


@dataclass
class Opened:
    """A page, and all that a browser has to complain about."""

    page: Page
    said: list[str] = field(default_factory=list)

    def complaints(self) -> list[str]:
        violations: list[str] = self.page.evaluate("window.violations")
        return self.said + violations

    @property
    def count(self) -> str:
        text: str = self.page.locator("#count").inner_text()
        return text

    def counted(self, text: str) -> None:
        """Wait until so much is shown."""
        expect(self.page.locator("#count")).to_have_text(text)

    def problems(self) -> list[str]:
        """The problems in the table, as far as they are drawn."""
        texts: list[str] = self.page.locator("tbody .problem").all_inner_texts()
        return texts

    def column(self, name: str) -> list[str]:
        texts: list[str] = self.page.locator(f"#table tbody td.{name}").all_inner_texts()
        return texts


Open = Callable[..., Any]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, once. It goes when this folder is done: Playwright holds on to the thread's event loop."""
    path = shutil.which(CHROMIUM)
    if path is None:
        servers.missing("Debian: chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opening(browser: Browser, tmp_path: Path) -> Open:
    """A context manager that opens the bytes of a page, offline."""

    @contextmanager
    def opened(content: bytes, **context: Any) -> Iterator[Opened]:
        path = tmp_path / "report.html"
        path.write_bytes(content)
        options = {"viewport": {"width": 1280, "height": 900}, "offline": True, **context}
        used = browser.new_context(**options)
        page = used.new_page()
        opened = Opened(page)
        page.on("console", lambda message: opened.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: opened.said.append(str(error)))
        page.on("dialog", lambda dialog: opened.said.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: None if request.url == path.as_uri() else opened.said.append(request.url),
        )
        page.add_init_script(_WATCH)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        try:
            yield opened
        finally:
            used.close()

    return opened
