"""The formats of an export, declared once: the command line, the errors and the docs go by this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from resources.errors import UsageError

if TYPE_CHECKING:
    from assets.exports.selection import Selection

Writer = Callable[["Selection", Path], int]
"""Writes what is selected to a new local file; answers how many issues that were."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format. Its writer is the module of the same name in `assets.exports.writers`."""

    name: str
    suffixes: tuple[str, ...]
    """File names that ask for it; the first is the usual one."""
    media_type: str
    streaming: bool
    """Memory does not grow with the number of issues."""
    reproducible: bool
    """The same data and selection give the same bytes."""
    holds: str
    """What becomes of an issue in it, for the docs."""
    text: bool = True
    """It can be shown on a terminal."""
    most_issues: int | None = None
    """More than these are an error, before anything is written."""
    package: str | None = None
    """What its writer needs beyond the usual, installed by the extra that is called like the format."""

    def writer(self) -> Writer:
        """Its writer. Raises `UsageError` where its package is not installed."""
        try:
            if self.package is not None:
                import_module(self.package)
        except ImportError as error:
            raise UsageError(
                f"{self.name} needs a package that is not installed: pip install 'issuelake[{self.name}]'."
            ) from error
        writer: Writer = import_module(f"assets.exports.writers.{self.name}").write
        return writer


FORMATS = {
    f.name: f
    for f in (
        Format("json", (".json",), "application/json", True, True, "an array of objects"),
        Format("ndjson", (".ndjson", ".jsonl"), "application/x-ndjson", True, True, "one object a line"),
        Format("csv", (".csv",), "text/csv", True, True, "a row; objects as JSON text, formulas made inert"),
        Format("yaml", (".yaml", ".yml"), "application/yaml", True, True, "a list of mappings, no tags"),
        Format("html", (".html", ".htm"), "text/html", True, True, "a row of one page without scripts"),
        Format(
            "pdf",
            (".pdf",),
            "application/pdf",
            False,
            True,
            "a report: cover, summary, charts, issues by severity",
            text=False,
            most_issues=5_000,
            package="typst",
        ),
        Format(
            "parquet",
            (".parquet",),
            "application/vnd.apache.parquet",
            True,
            True,
            "a row of plain strings, numbers and moments; objects as JSON text",
            text=False,
        ),
        Format(
            "xlsx",
            (".xlsx",),
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            True,
            True,
            "a row; a further sheet after each 1,048,575",
            text=False,
            package="xlsxwriter",
        ),
        Format("markdown", (".md", ".markdown"), "text/markdown", True, True, "a row of one table"),
        Format(
            "sarif",
            (".sarif", ".sarif.json"),
            "application/sarif+json",
            True,
            True,
            "a result; SARIF 2.1.0, one SARIF run for each run",
        ),
    )
}

DEFAULT = FORMATS["json"]


def choose(name: str | None, path: str) -> Format:
    """The format called `name`, or where there is none the one that the suffix of `path` asks for.

    Raises `UsageError` for a name or a suffix that is not known.
    """
    if name is not None:
        if name not in FORMATS:
            raise UsageError(f"{name!r} is not an export format; known are {', '.join(FORMATS)}.")
        return FORMATS[name]
    file = Path(urlsplit(path).path if "://" in path else path).name.lower()
    suffixes = {suffix: f for f in FORMATS.values() for suffix in f.suffixes}
    for suffix in sorted(suffixes, key=len, reverse=True):
        if file.endswith(suffix):
            return suffixes[suffix]
    if "." in file.lstrip("."):
        known = ", ".join(sorted(suffixes))
        raise UsageError(f"{file!r} does not tell the format: name it, or end the file in one of {known}.")
    return DEFAULT
