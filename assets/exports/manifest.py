"""The manifest of an export: what it was made of, so that anyone can check it or make it again.

It says nothing of when or where it was written: the same data and selection give the same manifest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
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


def lake_part(
    selection: Selection, storage: Storage, tables: Sequence[str] = (layout.ISSUES,)
) -> dict[str, Any]:
    """What was read of `tables`, and how; to be asked while the views of `selection` are there."""
    marks = [e for table in (layout.DELETED, layout.REPLACED) for e in storage.backend.files.find(table)]
    names = [name for table in tables for name in opened(selection.connection, table)]
    read = [(layout.lake_path(name), os.path.getsize(name)) for name in names]
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
    document = {
        "issuelake_version": version("issuelake"),
        "file": name,
        "export_format": export_format.name,
        "media_type": export_format.media_type,
        "reproducible": export_format.reproducible,
        **written,
        "query": asked(query) | ({} if limit is None else {"limit": limit}),
        **lake,
    }
    return indented(document)


def asked(query: Query) -> dict[str, Any]:
    """The keys of `query` that select something; an export is not paged, so its `limit` does not."""
    given = {key: value for key, value in msgspec.to_builtins(query).items() if key != "limit"}
    return {key: value for key, value in given.items() if value not in (None, [], 0)}


def indented(document: dict[str, Any]) -> bytes:
    """`document` as JSON for people, too."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
