"""The two kinds of small records beside the data: deletions, and hints at newer copies.

A deletion hides every copy of the runs in it stored up to their moments. Its footer says who
deleted, when, what was asked for and how much went. It stays for good, also when compaction has
removed the runs, since a copy may still come from somebody who was held up.

A hint says that the copy of a run on one day may have lost to a copy on another day, so that
whoever reads the first day alone knows to look at the second. It decides nothing: readers compare
the copies themselves. A hint whose batch was never committed is therefore harmless, and so is one
that has been overtaken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from resources.encryption import Key
from resources.files import Files
from resources.lake import layout
from resources.schema import Column, arrow_schema

TICK = timedelta(microseconds=1)
"""The least that lies between two moments. A deletion is later than the copies that it hides by at
least this; a mark at the very moment of a copy says that the copy went elsewhere, and may come back."""

_AUDIT_ID = re.compile(r"[0-9a-f]{32}")

_DELETIONS = (
    Column("validation_run_id", "string", False, "the run that was deleted"),
    Column("deleted_at", "timestamp", False, "copies stored up to this moment are hidden"),
)
_HINTS = (
    Column("validation_run_id", "string", False, "a run with copies on several days"),
    Column("run_date", "date", False, "whoever reads this day"),
    Column("other_date", "date", False, "must look at this one too"),
)


@dataclass(frozen=True, slots=True)
class Audit:
    """What is written down of a deletion beside the runs: by whom, of what, how much.

    `query` is what was asked for, as JSON has it; None where runs were named one by one.
    """

    actor: str = ""
    query: dict[str, Any] | None = None
    issues_deleted: int | None = None


@dataclass(frozen=True, slots=True)
class Deletion:
    """One deletion as it was written down. Moments are UTC."""

    audit_id: str
    deleted_at: datetime
    actor: str
    query: dict[str, Any] | None
    runs_deleted: int
    issues_deleted: int | None


@dataclass(frozen=True, slots=True, order=True)
class Hint:
    """Whoever reads the run on `run_date` must also look at `other_date`."""

    run_id: str
    run_date: date
    other_date: date


def write_hints(files: Files, hints: Iterable[Hint]) -> None:
    """Make `hints` durable; none at all writes nothing."""
    ordered = sorted(set(hints))
    if ordered:
        rows = [(h.run_id, h.run_date, h.other_date) for h in ordered]
        _write(files, layout.REPLACED, _HINTS, rows)


def write_deletions(files: Files, moments: Mapping[str, datetime], at: datetime, audit: Audit) -> str:
    """Hide every copy of the runs stored up to their moments (UTC) from the next read on.

    Answers the id under which `read_audits` knows this from then on. Of no runs nothing is
    written, and the id is empty.
    """
    if not moments:
        return ""
    footer = {"deleted_at": at.isoformat(), **asdict(audit)}
    return _write(files, layout.DELETED, _DELETIONS, sorted(moments.items()), footer)


def write_marks(files: Files, deletion: Deletion, moments: Mapping[str, datetime]) -> None:
    """As `write_deletions`, for a deletion that has an id already; of no runs, too."""
    files.publish(mark_path(deletion.audit_id), encode_marks(deletion, moments, files.key))


def encode_marks(deletion: Deletion, moments: Mapping[str, datetime], key: Key | None) -> bytes:
    """The file that holds `moments`, and in its footer the rest of `deletion`."""
    import pyarrow as pa

    from resources.lake.parquet import encode

    footer = asdict(deletion) | {"deleted_at": deletion.deleted_at.isoformat()}
    del footer["audit_id"]
    columns = [list(column) for column in zip(*sorted(moments.items()), strict=True)] or [[], []]
    return encode(pa.table(columns, arrow_schema(_DELETIONS)), footer, key=key)


def mark_path(audit_id: str) -> str:
    """Where the runs of a deletion stand."""
    return f"{layout.DELETED}/{safe_audit_id(audit_id)}.parquet"


def safe_audit_id(audit_id: str) -> str:
    """The id, where it is one of ours (32 hex digits), else one that is made of it."""
    return audit_id if _AUDIT_ID.fullmatch(audit_id) else layout.content_name([audit_id])


def read_marks(files: Files, audit_id: str) -> dict[str, datetime]:
    """The runs of a deletion with their moments (UTC); none where they are not written down."""
    path = mark_path(audit_id)
    if path not in deletion_paths(files):
        return {}
    from resources.lake.parquet import read_table

    [name] = files.paths([path])
    columns = read_table(name, key=files.key).columns
    return dict(zip(*(column.to_pylist() for column in columns), strict=True))


def deletion_paths(files: Files) -> list[str]:
    """The files that hold the columns `validation_run_id` and `deleted_at` of what was deleted."""
    return layout.parquet_paths(files, layout.DELETED)


def read_hints(files: Files) -> list[Hint]:
    """Every hint of the lake."""
    return [
        Hint(row["validation_run_id"], row["run_date"], row["other_date"])
        for row in _rows(files, layout.REPLACED)
    ]


def read_deletions(files: Files, run_ids: Iterable[str]) -> dict[str, datetime]:
    """Those of `run_ids` that were deleted, and the latest moment (UTC) of that."""
    paths = deletion_paths(files)
    return files.using(lambda: _latest(files, paths, run_ids)) if paths else {}


def _latest(files: Files, paths: list[str], run_ids: Iterable[str]) -> dict[str, datetime]:
    import pyarrow as pa
    import pyarrow.compute as pc

    from resources.lake.parquet import read_table

    wanted = pa.array(sorted(set(run_ids)), pa.string())
    latest: dict[str, datetime] = {}
    for name in files.paths(paths):
        rows = read_table(name, key=files.key)
        rows = rows.filter(pc.is_in(rows["validation_run_id"], wanted))
        for run_id, moment in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            latest[run_id] = max(moment, latest.get(run_id, moment))
    return latest


def read_audits(files: Files) -> list[Deletion]:
    """Every deletion of the lake, oldest first, without the runs."""
    paths = deletion_paths(files)
    return files.using(lambda: _audits(files, paths)) if paths else []


def _audits(files: Files, paths: list[str]) -> list[Deletion]:
    from resources.lake.parquet import footer, open_file

    found = []
    for path, name in zip(paths, files.paths(paths), strict=True):
        file = open_file(name, key=files.key)
        said = footer(file)
        found.append(
            Deletion(
                audit_id=path.rpartition("/")[2].removesuffix(".parquet"),
                deleted_at=datetime.fromisoformat(said["deleted_at"]),
                actor=said["actor"],
                query=said["query"],
                runs_deleted=said.get("runs_deleted", file.metadata.num_rows),
                issues_deleted=said["issues_deleted"],
            )
        )
    return sorted(found, key=lambda deletion: (deletion.deleted_at, deletion.audit_id))


def _write(
    files: Files,
    folder: str,
    schema: tuple[Column, ...],
    rows: Sequence[tuple[Any, ...]],
    metadata: Any = None,
) -> str:
    import pyarrow as pa

    from resources.lake.parquet import encode

    columns = [list(column) for column in zip(*rows, strict=True)]
    data = encode(pa.table(columns, arrow_schema(schema)), metadata, key=files.key)
    name = layout.content_name("\x1f".join(map(str, row)) for row in rows)
    files.publish(f"{folder}/{name}.parquet", data)
    return name


def _rows(files: Files, folder: str) -> list[dict[str, Any]]:
    paths = layout.parquet_paths(files, folder)
    if not paths:  # as nearly always, and then a reader need not load pyarrow
        return []
    from resources.lake.parquet import read_table

    def rows() -> list[dict[str, Any]]:
        return [row for name in files.paths(paths) for row in read_table(name, key=files.key).to_pylist()]

    return files.using(rows)
