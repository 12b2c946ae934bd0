"""Exports: what a query selects, written whole to a file, a URL or standard output."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets import query as queries
from assets.answers import Answer, answer, reading
from assets.exports.formats import Format, choose
from assets.query import Query
from resources.config import Storage
from resources.destination import STANDARD_OUTPUT, Destination, open_destination
from resources.errors import QueryError, StorageError, UsageError
from resources.lake import layout

if TYPE_CHECKING:
    import duckdb

    from resources.engines import Engine


def export(
    storage: Storage,
    query: Query,
    export_format: str | None,
    export_path: str,
    manifest: bool = False,
    storage_options: dict[str, Any] | None = None,
    limit: int | None = None,
    engine: Engine | None = None,
) -> Answer:
    """Write the issues that `query` selects, in its order, to `export_path`, and say what was written.

    `export_path` is a local path, the URL of any fsspec storage (which `storage_options` go to), or
    `-` for standard output. An `export_format` of None leaves it to the suffix of the path. An
    export is not paged: `query.limit` does not apply, `limit` does. `manifest` writes a file beside
    it that says what it was made of. Where days can simply follow each other in it, the workers of an
    `engine`, which must be one that has the storage's lake, make some days each.

    Under `issues_data` the answer has `export_path`, `export_format`, `exported_count`, `bytes`,
    `sha256`, and `manifest_path` where there is one. Raises `UsageError` for a format, path or limit
    that cannot be, `QueryError` for a query, `StorageError` for a lake that cannot be read or a place
    that cannot be written; then an older file is still there, and nothing else.
    """
    chosen = choose(export_format, export_path)
    if manifest and export_path == STANDARD_OUTPUT:
        raise UsageError("A manifest is written beside a file; standard output has no place for it.")
    if limit is not None and limit < 1:
        raise QueryError(f"query.limit is {limit}, which is less than 1.")
    compiled = queries.compile(query)
    writer = chosen.writer()
    keep_out_of(storage.backend.url, export_path)
    destination = open_destination(export_path, storage_options)
    with destination.working_folder() as folder:
        made = folder / (os.path.basename(destination.path) or "export")

        def work(connection: duckdb.DuckDBPyConnection) -> tuple[int, Any]:
            from assets.exports.manifest import lake_part
            from assets.exports.selection import Selection

            selection = Selection(connection, compiled, limit)
            _refuse_too_many(selection, chosen)
            with writing(made, destination):
                count = writer(selection, made)
            return count, lake_part(selection, storage) if manifest else None

        from assets.exports import joining
        from assets.exports.selection import COLUMNS

        if engine is not None and joining.may_join(engine, chosen, query, limit, manifest):
            count, lake = joining.export(engine, storage.backend, query, chosen, made), None
        else:
            count, lake = reading(storage, work, compiled, (layout.ISSUES,), compiled.asking_for(*COLUMNS))
        written = {"exported_count": count, "bytes": made.stat().st_size, "sha256": sha256_of(made)}
        beside = folder / "manifest"
        if manifest:
            from assets.exports import manifest as manifests

            beside.write_bytes(manifests.encode(made.name, chosen, query, limit, written, lake))
        destination.publish(made)
        data = {"export_path": destination.path, "export_format": chosen.name, **written}
        if manifest:
            destination.publish(beside, manifests.SUFFIX)
            data["manifest_path"] = destination.path + manifests.SUFFIX
    return answer("export_issues", storage, count, issues_data=data)


@contextmanager
def writing(made: Path, destination: Destination) -> Iterator[None]:
    """Where a file at or below `made` cannot be written, `destination` cannot: `StorageError`."""
    import duckdb

    try:
        yield
    except (OSError, duckdb.IOException) as error:
        if isinstance(error, OSError) or str(made) in str(error):
            raise StorageError(f"Could not write {destination.path}: {error}.") from error
        raise


def keep_out_of(url: str, export_path: str) -> None:
    """What lies in the folders of the lake at `url` is the lake's: another file there would be read as data.

    Raises `UsageError`.
    """
    remote = "://" in export_path and not export_path.startswith(("file://", "local://"))
    target = export_path if remote else os.path.realpath(os.path.expanduser(export_path.split("://", 1)[-1]))
    root = url if remote else os.path.realpath(url)
    for folder in layout.FOLDERS:
        if target.startswith(f"{root.rstrip('/')}/{folder}/"):
            raise UsageError(f"{export_path} lies in the lake's own folder {folder}; export elsewhere.")


def _refuse_too_many(selection: Any, chosen: Format) -> None:
    if chosen.most_issues is not None:
        count = sum(selection.counts().values())
        if count > chosen.most_issues:
            raise UsageError(
                f"{count:,} issues are too many for {chosen.name}, which takes {chosen.most_issues:,}: select"
                " fewer, or use html or xlsx."
            )


def sha256_of(path: Path) -> str:
    """The SHA-256 of a local file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
