"""Each backend has a page, whose configuration is one that is run and whose keys are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from resources.backends import BACKENDS, settings_of

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "backends"


def test_every_page_is_of_a_backend_and_linked() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == set(BACKENDS)
    storage = (ROOT / "docs" / "storage.md").read_text("utf-8")
    for name in BACKENDS:
        assert f"(backends/{name}.md)" in storage, name


@pytest.mark.parametrize("name", BACKENDS)
def test_the_configuration_of_a_page_is_one_that_is_run(name: str) -> None:
    text = (PAGES / f"{name}.md").read_text("utf-8")
    [config] = re.findall(r"\(\.\./\.\./(examples/configs/[\w.]+)\)", text)
    shown = "\n".join(re.findall(r"^    (.*)$", text, re.M))
    assert shown.strip() == (ROOT / config).read_text("utf-8").strip()
    assert f"storage_backend: {name}" in shown


@pytest.mark.parametrize("name", BACKENDS)
def test_a_page_names_every_key_and_default(name: str) -> None:
    text = (PAGES / f"{name}.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", text, re.M))
    fields = {field.encode_name: field for field in msgspec.structs.fields(settings_of(name))}
    assert set(rows) >= set(fields)
    for key, field in fields.items():
        default = field.default
        if field.required:
            assert rows[key] == "required", key
        elif isinstance(default, bool):
            assert rows[key] == str(default).lower(), key
        elif isinstance(default, int | float) or (isinstance(default, str) and default):
            shown = f"{default:g}" if isinstance(default, int | float) else default
            assert rows[key] == shown, key
