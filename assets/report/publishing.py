"""The weekly report, published: in a folder that is given, or else in the storage itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assets.exports.manifest import SUFFIX
from assets.problems.sla import sla_days
from assets.report.selection import select
from assets.report.writing import Made, make, place
from resources.backend import Backend
from resources.errors import UsageError

FOLDER = "reports"
"""In the storage."""


@dataclass(frozen=True, slots=True)
class Published:
    """What was made, and where it is now, without secrets."""

    made: Made
    path: str


def publish_week(lake: Backend, to: str = "", storage_options: dict[str, Any] | None = None) -> Published:
    """Make the report of the newest week, and publish it with its manifest beside it; durable on return.

    In the folder `to`, a path or an fsspec URL, it is `issues-2025-08-29.html`, by its last day, in place of
    an older one of the same name. In the storage its name holds its content, too. Raises `UsageError` where
    there is no run, or nowhere to put a report that anybody may read; `StorageError`.
    """
    if not to and lake.files.key is not None:
        raise UsageError(
            "The storage is encrypted and a report is not, so say where it may go: ISSUELAKE_REPORT_TO."
        )
    asked = select(lake, sla_days())
    made = make(lake, asked, "html")
    if to:
        path = f"{to.rstrip('/')}/issues-{asked.last}.html"
        return Published(made, place(lake, made, path, with_manifest=True, storage_options=storage_options))
    path = f"{FOLDER}/issues-{asked.last}-{made.sha256[:12]}.html"
    lake.files.publish(path + SUFFIX, made.beside(path))
    lake.files.publish(path, made.content)
    return Published(made, path)
