"""Deleting runs, with everything that they found, and with a record of who did.

A deletion is of whole runs: part of a run would be a run that never happened. So it takes the keys
of `query` that select runs and refuses the others, rather than take a whole run for one issue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from assets import query as queries
from assets.answers import Answer, answer
from assets.query import Query
from assets.retention import outlines
from resources.config import Storage
from resources.errors import QueryError
from resources.lake import layout
from resources.lake.marks import Audit
from resources.schema import SEVERITY_COUNTS
from resources.session import sql

if TYPE_CHECKING:
    import duckdb

KEYS = ("plugin_name", "run_id", "date_from", "date_to")
"""The keys of a query that select runs."""


def delete(storage: Storage, query: Query, actor: str) -> Answer:
    """Remove the runs that `query` selects, from every reader's sight at once.

    The bytes go with the next compaction after its grace period. `issues_data` has `runs_deleted`
    and `issues_deleted`, `dry_run`, and the `audit_id` under which `Lake.deletions` knows who
    deleted (`actor`), when, what was asked for and how much went; null where nothing did. With
    `query.dry_run` the counts are what would go, and nothing is written. Raises `QueryError` for
    an empty query without `query.all`, and for keys that do not select runs.
    """
    asked = _asked(query)
    compiled = queries.compile(msgspec.structs.replace(query, all=False, dry_run=False))

    def select(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, int]]:
        statement = sql("assets", "runs_to_delete").format(where=compiled.runs_where)
        return connection.execute(statement, compiled.runs_parameters).fetchall()

    columns = compiled.asking_for("validation_run_id", *SEVERITY_COUNTS)
    runs = outlines.reading(storage.backend, select, compiled.first, compiled.last, (layout.RUNS,), columns)
    issues = sum(count for _, count in runs)
    deleted = 0 if query.dry_run else len(runs)
    audit_id = None
    if deleted:
        audit_id = storage.backend.delete((run_id for run_id, _ in runs), Audit(actor, asked, issues))
    data = {
        "runs_deleted": len(runs),
        "issues_deleted": issues,
        "dry_run": query.dry_run,
        "audit_id": audit_id,
    }
    return answer("delete_issues", storage, deleted, issues_data=data)


def _asked(query: Query) -> dict[str, Any]:
    """The keys that were given, as they will stand in the audit; checked."""
    nothing = Query()
    given = {
        name: getattr(query, name)
        for name in query.__struct_fields__
        if getattr(query, name) != getattr(nothing, name) and name != "dry_run"
    }
    for name in given:
        if name not in (*KEYS, "all"):
            raise QueryError(
                f"query.{name} does not select whole runs, and only whole runs are deleted:"
                f" give {', '.join(KEYS)}, or all."
            )
    if not given:
        raise QueryError(
            f"query is empty, which would delete every run: give {', '.join(KEYS)}, or all: true."
        )
    if query.all and len(given) > 1:
        other = next(name for name in given if name != "all")
        raise QueryError(f"query.all deletes every run, but query.{other} selects some: give one of them.")
    return given
