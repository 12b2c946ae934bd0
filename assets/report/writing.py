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
from assets.report.model import Asked, Figures
from resources.backend import Backend
from resources.config import Storage
from resources.destination import STANDARD_OUTPUT, open_destination
from resources.errors import UsageError

FORMATS = {"html": "text/html", "pdf": "application/pdf"}
"""The formats, and the media type of each."""

_PACKAGES = ("altair", "vl_convert", "jinja2", "typst")


@dataclass(frozen=True, slots=True)
class Made:
    """A report that was made: the file, what it says, and the manifest of what it was made of."""

    content: bytes
    figures: Figures
    manifest: dict[str, Any]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def choose(name: str | None, path: str) -> str:
    """The format called `name`, or where there is none the one that the suffix of `path` asks for.

    Raises `UsageError`.
    """
    if name is not None:
        if name not in FORMATS:
            raise UsageError(f"{name!r} is not a format of a report; known are {', '.join(FORMATS)}.")
        return name
    suffix = PurePosixPath(urlsplit(path).path if "://" in path else path).suffix.lower()
    return {".htm": "html"}.get(suffix, suffix[1:] if suffix[1:] in FORMATS else "html")


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
    return Made(content, found, described)


def write(storage: Storage, asked: Asked, report_format: str, to: str, with_manifest: bool = False) -> Made:
    """Make the report and put it at `to`: a local path, a URL of any fsspec storage, or `-`.

    It appears whole, in place of an older one, or not at all; with the manifest beside it where that is
    wanted. Raises `UsageError`, `StorageError`.
    """
    from assets.exports.manifest import SUFFIX

    if with_manifest and to == STANDARD_OUTPUT:
        raise UsageError("A manifest is written beside a file; standard output has no place for it.")
    keep_out_of(storage, to)
    destination = open_destination(to)
    made = make(storage.backend, asked, report_format)
    with destination.working_folder() as folder:
        file, beside = folder / "report", folder / "manifest"
        file.write_bytes(made.content)
        if with_manifest:
            name = os.path.basename(destination.path)
            beside.write_bytes(beside_manifest(storage, made, name, report_format))
        destination.publish(file)
        if with_manifest:
            destination.publish(beside, SUFFIX)
    return made


def beside_manifest(storage: Storage, made: Made, name: str, report_format: str) -> bytes:
    """The manifest as it stands beside the file `name`: with what no file can say about itself."""
    from assets.report.manifest import encode

    file = {
        "file": name,
        "format": report_format,
        "media_type": FORMATS[report_format],
        "bytes": len(made.content),
        "sha256": made.sha256,
        "storage_backend": storage.name,
        "url": storage.backend.url,
    }
    return encode({**file, **made.manifest})
