"""Making a report and putting it where it is to be."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from assets.exports import keep_out_of
from assets.exports.manifest import SUFFIX
from assets.report.model import Asked, Figures
from resources.backend import Backend
from resources.destination import open_destination
from resources.errors import UsageError

FORMATS = {"html": "text/html", "pdf": "application/pdf"}
"""The formats, and the media type of each."""

_PACKAGES = ("altair", "vl_convert", "jinja2", "typst")


@dataclass(frozen=True, slots=True)
class Made:
    """A report that was made: the file, what it says, and the manifest of what it was made of."""

    format: str
    content: bytes
    figures: Figures
    manifest: dict[str, Any]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def beside(self, path: str) -> bytes:
        """The manifest as it stands beside the file at `path`: with what no file can say about itself."""
        from assets.report.manifest import encode

        file = {
            "file": os.path.basename(path),
            "format": self.format,
            "media_type": FORMATS[self.format],
            "bytes": len(self.content),
            "sha256": self.sha256,
        }
        return encode(file | self.manifest)


def choose(name: str | None, path: str) -> str:
    """The format called `name`, or where there is none the one that the suffix of `path` asks for.

    Raises `UsageError`.
    """
    suffix = PurePosixPath(urlsplit(path).path if "://" in path else path).suffix.lower()
    chosen = name or {"": "html", ".htm": "html"}.get(suffix, suffix[1:])
    if chosen not in FORMATS:
        raise UsageError(f"{chosen!r} is not a format of a report; known are {', '.join(FORMATS)}.")
    return chosen


def make(lake: Backend, asked: Asked, report_format: str) -> Made:
    """The report in one of `FORMATS`: of the same lake and selection the same bytes.

    Raises `UsageError` where the extra `report` is not installed, `StorageError`.
    """
    if any(find_spec(package) is None for package in _PACKAGES):
        raise UsageError("A report needs packages that are not installed: pip install 'issuelake[report]'.")
    from assets.report import libraries

    if report_format == "html":
        libraries.prepare()  # that takes as long as all the rest, so it begins first
    from assets.report import figures, manifest, page, pdf

    found = figures.read(lake, asked)
    described = manifest.describe(lake, found)
    content = (page if report_format == "html" else pdf).render(found, described)
    return Made(report_format, content, found, described)


def place(
    lake: Backend,
    made: Made,
    to: str,
    with_manifest: bool = False,
    storage_options: dict[str, Any] | None = None,
) -> str:
    """Put the report at `to`: a local path, a URL of any fsspec storage, or `-` for standard output.

    Answers where it is, without secrets. It appears whole, in place of an older one, or not at all; with
    the manifest beside it where that is wanted. Raises `UsageError`, `StorageError`.
    """
    keep_out_of(lake.url, to)
    destination = open_destination(to, storage_options)
    with destination.working_folder() as folder:
        file, beside = folder / "report", folder / "manifest"
        file.write_bytes(made.content)
        if with_manifest:
            beside.write_bytes(made.beside(destination.path))
        destination.publish(file)
        if with_manifest:
            destination.publish(beside, SUFFIX)
    return destination.path
