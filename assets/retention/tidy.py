"""Outlines in few files, and without those that do not count any more.

What was put together stays beside its new file for a while, for readers who have listed it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assets.retention import outlines
from assets.retention.outlines import FOLDER, path_of
from resources.backend import BOTH, ISSUES, RUNS
from resources.files import Files
from resources.lake.compact import DEFAULT_GRACE, ORPHAN_AGE
from resources.lake.layout import content_name
from resources.session import cursor, sql

if TYPE_CHECKING:
    import pyarrow as pa

FILES_AT_MOST = 64
"""Of more small files one is made."""

MERGED_BYTES = 16 * 1024 * 1024
"""About what a file has that is made of several; one that is as large is left alone."""

_ORDER = {
    RUNS: 'target_plugin, "timestamp", validation_run_id',
    ISSUES: 'target_plugin, fingerprint, "timestamp", validation_run_id',
}


@dataclass(frozen=True, slots=True)
class _File:
    """A file of outlines: those that stay in it, how many others came after, or are not retired (yet)."""

    issues_path: str
    stays: list[dict[str, str]]
    overtaken: int
    pending: int

    @property
    def runs_path(self) -> str:
        return self.issues_path.replace(f"{FOLDER}/{ISSUES}/", f"{FOLDER}/{RUNS}/")


def tidy(files: Files, grace: float = DEFAULT_GRACE.total_seconds()) -> None:
    """Write anew what holds outlines that do not count, put small files together, remove what is in others.

    Files go once nothing has been written for `grace` seconds. It can be interrupted anywhere, and two
    at once do no harm. Raises `StorageError`.
    """
    found = _judged(files)
    entries = {entry.path: entry for entry in files.find(FOLDER)}
    now = time.time()
    written = max((entry.modified for entry in entries.values()), default=now)
    untidy, small = [], []
    for file in found:
        size = sum(entries[path].size for path in (file.runs_path, file.issues_path) if path in entries)
        if file.pending and entries[file.runs_path].modified > now - ORPHAN_AGE.total_seconds():
            continue  # somebody is at it
        if not file.stays:
            if written < now - grace:
                files.remove(file.runs_path)
                files.remove(file.issues_path)
        elif file.overtaken or file.pending:
            untidy.append((file, size))
        elif size < MERGED_BYTES:
            small.append((file, size))
    for group in _groups([*untidy, *(small if len(small) > FILES_AT_MOST else ())]):
        _merge(files, group)
    _remove_orphans(files, {file.issues_path for file in found}, now)


def _judged(files: Files) -> list[_File]:
    there = outlines.read(files)
    if there is None:
        return []
    marks = outlines.marks(files)
    if marks is None:
        marks = (
            there.select(["validation_run_id", "retired_at"])
            .rename_columns(["validation_run_id", "deleted_at"])
            .slice(0, 0)
        )
    rows = _asked(sql("assets.retention", "outlines_judged"), {"outlines": there, "marks": marks}).to_pylist()
    return [_File(**row | {"stays": row["stays"] or []}) for row in rows]


def _groups(found: Sequence[tuple[_File, int]]) -> Iterator[list[_File]]:
    group: list[_File] = []
    total = 0
    for file, size in found:
        if group and total + size > MERGED_BYTES:
            yield group
            group, total = [], 0
        group.append(file)
        total += size
    if group:
        yield group


def _merge(files: Files, group: Sequence[_File]) -> None:
    """Publish what stays of `group` as one file of each table, the issues first."""
    import pyarrow as pa

    from resources.lake.parquet import encode, read_table

    stays = pa.Table.from_pylist([outline for file in group for outline in file.stays])
    names = [file.issues_path.rpartition("/")[2].split("_") for file in group]
    first, last = min(name[0] for name in names), max(name[1] for name in names)
    name = content_name(f"{row['audit_id']}\x1f{row['validation_run_id']}" for row in stays.to_pylist())

    def merged(table: str) -> pa.Table:
        paths = [file.issues_path if table == ISSUES else file.runs_path for file in group]
        whole = pa.concat_tables([read_table(path, key=files.key) for path in files.paths(paths)])
        text = sql("assets.retention", "outlines_merged").format(order=_ORDER[table])
        return _asked(text, {"outlines": whole, "stays": stays}).cast(whole.schema)

    for table in reversed(BOTH):
        rows = files.using(lambda table=table: merged(table))  # type: ignore[misc]
        files.publish(path_of(table, first, last, name), encode(rows, key=files.key))


def _asked(statement: str, tables: Mapping[str, pa.Table]) -> pa.Table:
    with cursor() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        return connection.sql(statement).to_arrow_table()


def _remove_orphans(files: Files, known: set[str], now: float) -> None:
    """Remove files of issues whose runs never came."""
    for entry in files.find(f"{FOLDER}/{ISSUES}"):
        if entry.path not in known and entry.modified < now - ORPHAN_AGE.total_seconds():
            files.remove(entry.path)
