"""What a bundle says of itself: the README and the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from string import Template
from typing import Any

import msgspec

from assets.bundle.archive import Member, checksums
from assets.bundle.tables import DATA, TABLES
from assets.exports import manifest
from assets.exports.escaping import visible
from assets.query import Query

README, MANIFEST, CHECKSUMS = "README.txt", "manifest.json", "SHA256SUMS"
DATABASE, REPORT, SHEET = "audit.duckdb", "report.html", "issues.csv"

PARTS = {
    README: "this",
    REPORT: "the report on these days, and this plugin where one is selected",
    SHEET: "the issues, for a spreadsheet",
    f"{DATA}/runs.parquet": "the runs",
    f"{DATA}/issues.parquet": "their issues",
    f"{DATA}/problems.parquet": "what became of each problem",
    f"{DATA}/problem_lives.parquet": "when each problem came up, and when it was gone again",
    f"{DATA}/triage_decisions.parquet": "what somebody decided about a problem, and why",
    DATABASE: "the same tables, and daily_summary, as views for DuckDB",
    MANIFEST: "what all this was made of",
    CHECKSUMS: "a hash of each of these files",
}
"""Every file of a bundle, in its order, and what it is."""

_MADE_WITH = ("duckdb", "polars")
"""Libraries on whose version the bytes of the data depend."""


def readme(query: Query, url: str, moment: str, rows: Mapping[str, int]) -> bytes:
    """The README. What came from outside stands in it as JSON, in one line without control characters."""
    asked = msgspec.json.encode(manifest.asked(query)).decode() if manifest.asked(query) else "everything"
    text = Template((files("assets.bundle") / README).read_text("utf-8"))
    return text.substitute(
        version=version("issuelake"),
        query=visible(asked),
        url=visible(" ".join(url.split())),
        moment=moment,
        members="\n".join(_listed(rows)),
        columns="\n".join(_columns()),
    ).encode()


def content_sha256(members: Sequence[Member]) -> str:
    """A hash of the rows, the same wherever the lake is and in whichever files it keeps them.

    README and report say more of the lake than that.
    """
    rows = [m for m in members if m.path not in (README, REPORT)]
    return hashlib.sha256(checksums(rows)).hexdigest()


def document(
    query: Query,
    moment: str,
    sla_days: Mapping[str, int],
    rows: Mapping[str, int],
    content: str,
    lake: Any,
    members: Sequence[Member],
) -> bytes:
    """The manifest, beside which `members` stand."""
    return manifest.indented(
        {
            "issuelake_version": version("issuelake"),
            "made_with": {name: version(name) for name in _MADE_WITH},
            "query": manifest.asked(query),
            "as_of": moment,
            "sla_days": sla_days,
            "rows": rows,
            "content_sha256": content,
            "files": [{"path": m.path, "bytes": m.bytes, "sha256": m.sha256} for m in members],
            **lake,
        }
    )


def _listed(rows: Mapping[str, int]) -> Iterator[str]:
    for path, what in PARTS.items():
        table = path.removeprefix(f"{DATA}/").removesuffix(".parquet")
        count = f" ({rows[table]:,} rows)" if table in rows else ""
        yield f"{path:<32}{what}{count}"


def _columns() -> Iterator[str]:
    for table, columns in TABLES.items():
        yield f"\n{table}"
        for column in columns:
            kind = "text (JSON)" if column.type == "json" else column.type.replace("string", "text")
            yield f"    {column.name:<22}{kind:<13}{column.meaning}"
