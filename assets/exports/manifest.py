"""The manifest of an export: what it was made of, so that anyone can check it or make it again.

It says nothing of when or where it was written: the same data and selection give the same manifest.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any

import msgspec

from assets.exports.formats import Format
from assets.exports.selection import Selection, moment
from assets.query import Query
from resources.config import Storage
from resources.lake import layout
from resources.lake.read import opened

SUFFIX = ".manifest.json"


def lake_part(selection: Selection, storage: Storage) -> dict[str, Any]:
    """What was read, and how; to be asked while the views of `selection` are there."""
    marks = [e for table in (layout.DELETED, layout.REPLACED) for e in storage.backend.files.find(table)]
    read = [(layout.lake_path(name), os.path.getsize(name)) for name in opened(selection.connection)]
    files = sorted([*read, *((mark.path, mark.size) for mark in marks)])
    parameters = [moment(p) if hasattr(p, "astimezone") else p for p in selection.parameters]
    return {
        "lake": {
            "storage_backend": storage.name,
            "url": storage.backend.url,
            "files": [{"path": path, "bytes": size} for path, size in files],
        },
        "sql": selection.statement,
        "parameters": parameters,
    }


def encode(
    name: str, export_format: Format, query: Query, limit: int | None, written: dict[str, Any], lake: Any
) -> bytes:
    """The manifest of the file `name`, of which `written` says count, bytes and hash."""
    asked = {key: value for key, value in msgspec.to_builtins(query).items() if key not in ("limit",)}
    chosen = {key: value for key, value in asked.items() if value not in (None, [], 0)}
    document = {
        "issuelake_version": version("issuelake"),
        "file": name,
        "export_format": export_format.name,
        "media_type": export_format.media_type,
        "reproducible": export_format.reproducible,
        **written,
        "query": chosen | ({} if limit is None else {"limit": limit}),
        **lake,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
