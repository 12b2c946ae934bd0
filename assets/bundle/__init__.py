"""Bundles: what a query selects as one zip that opens anywhere, with all that proves it."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets import query as queries
from assets.answers import Answer, answer, reading
from assets.query import Compiled, Query
from resources.backend import BOTH, Backend
from resources.config import Storage
from resources.destination import open_destination

if TYPE_CHECKING:
    import duckdb

    from assets.bundle.tables import Counts


def bundle(storage: Storage, query: Query, to: str, storage_options: dict[str, Any] | None = None) -> Answer:
    """Write the runs and issues that `query` selects, their problems, a report and a manifest as a zip.

    `to` is a local path, the URL of any fsspec storage (which `storage_options` go to), or `-` for
    standard output. The same lake and query give the same bytes.

    Under `issues_data` the answer has `bundle_path`, `bytes`, `sha256`, `content_sha256` (the same for
    the same rows, however the lake keeps them), `as_of` and `rows` by table. Raises `UsageError` for a
    path or where the extra `report` is not installed, `QueryError` for a query or where it selects no
    run, `StorageError` for a lake that cannot be read or a place that cannot be written; then an older
    file is still there, and nothing else.
    """
    from assets.bundle import archive, describe, tables
    from assets.exports import keep_out_of, sha256_of, writing
    from assets.exports.manifest import lake_part
    from assets.exports.selection import Selection, moment
    from assets.exports.writers import csv
    from assets.problems.relation import Asked

    compiled = queries.compile(query)
    keep_out_of(storage.backend.url, to)
    destination = open_destination(to, storage_options)
    with destination.working_folder() as working:
        folder: Path = working / "content"
        data = folder / tables.DATA

        def work(connection: duckdb.DuckDBPyConnection) -> tuple[tables.Counts, Any]:
            selection = Selection(connection, compiled)
            with writing(working, destination):
                counts = tables.write_selected(selection, data)
                csv.write(selection, folder / describe.SHEET, codecs.BOM_UTF8)  # else Excel does not know
            return counts, lake_part(selection, storage, BOTH)

        with writing(working, destination):
            data.mkdir(parents=True)
            named = {column.name for columns in tables.TABLES.values() for column in columns}
            counts, lake = reading(storage, work, compiled, BOTH, compiled.asking_for(*named))
            last = tables.moment_of(storage.backend, counts.newest, compiled.pushdown.until)
            as_of = Asked(last)
            rows = counts.rows | tables.write_problems(storage.backend, data, as_of)
            tables.write_database(folder, describe.DATABASE)
            told = moment(last)
            (folder / describe.REPORT).write_bytes(_report(storage.backend, compiled, counts))
            readme = describe.readme(query, storage.backend.url, told, rows)
            (folder / describe.README).write_bytes(readme)
            members = [archive.member(folder, path) for path in list(describe.PARTS)[:-2]]
            content = describe.content_sha256(members)
            manifest = describe.document(query, told, as_of.sla, rows, content, lake, members)
            (folder / describe.MANIFEST).write_bytes(manifest)
            members.append(archive.member(folder, describe.MANIFEST))
            (folder / describe.CHECKSUMS).write_bytes(archive.checksums(members))
            made = working / "bundle.zip"
            archive.pack(folder, list(describe.PARTS), made)
        written = {"bytes": made.stat().st_size, "sha256": sha256_of(made), "content_sha256": content}
        destination.publish(made)
    parts = {"bundle_path": destination.path, **written, "as_of": told, "rows": rows}
    return answer("bundle", storage, rows["issues"], issues_data=parts)


def _report(lake: Backend, compiled: Compiled, counts: Counts) -> bytes:
    """The report of the days of the selected runs, and their plugin: it knows no other filter."""
    from assets.problems.sla import sla_days
    from assets.report.selection import select
    from assets.report.writing import make

    asked = compiled.pushdown
    first = compiled.first or counts.oldest.date()
    last = compiled.last if asked.run_id is None else counts.newest.date()
    return make(lake, select(lake, sla_days(), first, last, asked.plugin), "html").content
