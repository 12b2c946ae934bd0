"""A database as a storage of runs and issues: a batch is one transaction, a read one moment."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import pyarrow as pa
import sqlalchemy as sa

from resources.backend import BOTH, RUNS, Backend, Newest, Pushdown
from resources.backends.sql import reading
from resources.backends.sql.dialect import Dialect
from resources.backends.sql.files import TableFiles
from resources.backends.sql.reading import IDS_AT_ONCE
from resources.backends.sql.rows import issues_rows, runs_rows
from resources.backends.sql.selecting import Statements, Wanted, run_key
from resources.backends.sql.session import Session
from resources.backends.sql.tables import RUN_KEY, tables
from resources.health import Health
from resources.lake.compact import Compacted
from resources.lake.maintain import Maintained
from resources.lake.marks import TICK, Audit, Deletion, encode_marks, mark_path, read_deletions
from resources.lake.verdict import COPIED, Appended
from resources.lake.write import prepare
from resources.schema import SEVERITY_COUNTS
from resources.session import cursor

if TYPE_CHECKING:
    import duckdb

    from resources.backends.sql.settings import _Sql

T = TypeVar("T")

_MOMENT = pa.timestamp("us", tz="UTC")


class Database(Backend):
    """Runs and issues in two tables. What is deleted or replaced is gone at once."""

    def __init__(self, dialect: Dialect, settings: _Sql) -> None:
        self._dialect = dialect
        self._tables = tables(settings.table_name, dialect.name)
        self._session = Session(dialect, self._tables)
        self._statements = Statements(self._tables, dialect)
        self._deadline = settings.timeout_seconds
        self.files: TableFiles = TableFiles(self._session)

    @property
    def url(self) -> str:
        return self._dialect.url

    def append(self, runs: pa.Table, issues: pa.Table) -> Appended:
        ids = runs["validation_run_id"].to_pylist()
        deletions = read_deletions(self.files, ids) if COPIED in runs.column_names else {}

        def store(connection: sa.Connection) -> Appended:
            known = reading.copies(connection, self._tables.runs, self._dialect, ids)
            batch, appended = prepare(runs, known, deletions)
            if batch is not None:
                rows = runs_rows(batch)
                keys = rows[RUN_KEY].to_pylist()
                self._remove(connection, sorted(set(keys) & {run_key(run_id) for run_id in known}))
                self._dialect.insert(connection, self._tables.runs, rows)
                self._dialect.insert(connection, self._tables.issues, issues_rows(batch, issues))
            return appended

        return self._session.write("store runs in", store) if ids else Appended()

    def reading(
        self,
        work: Callable[[duckdb.DuckDBPyConnection], T],
        first: date | None = None,
        last: date | None = None,
        tables: Sequence[str] = BOTH,
        pushdown: Pushdown | None = None,
    ) -> T:
        with cursor() as connection:
            self._copy(connection, tables, Wanted(first, last, pushdown or Pushdown()))
            return work(connection)

    def limits(self, pushdown: Pushdown) -> bool:  # noqa: ARG002  (all of it is SQL)
        return True

    def newest(
        self, pushdown: Pushdown, first: date | None = None, last: date | None = None
    ) -> Newest | None:
        wanted = Wanted(first, last, pushdown)
        return self._session.read(
            "read", lambda c: reading.newest(c, self._statements, self._dialect, wanted)
        )

    def define_views(
        self,
        connection: duckdb.DuckDBPyConnection,
        first: date | None = None,
        last: date | None = None,
        tables: Sequence[str] = BOTH,
        pushdown: Pushdown | None = None,
    ) -> list[str]:
        """Copy what is asked for, as it is now, into temporary tables; no file is read later."""
        self._copy(connection, tables, Wanted(first, last, pushdown or Pushdown()))
        return []

    def days(self) -> list[date]:
        column = self._tables.runs.c.run_date
        query = sa.select(column).distinct().order_by(column)
        found = self._session.read("list the days of", lambda c: list(c.scalars(query)))
        days: list[date] = self._dialect.column(found, pa.date32()).to_pylist()
        return days

    def delete(self, run_ids: Iterable[str], audit: Audit | None = None) -> str:
        ids = sorted(set(run_ids))
        if not ids:
            return ""
        said = audit or Audit()
        now = datetime.now(UTC)
        deletion = Deletion(uuid4().hex, now, said.actor, said.query, len(ids), said.issues_deleted)

        def remove(connection: sa.Connection) -> None:
            known = reading.copies(connection, self._tables.runs, self._dialect, ids)
            # The clock that a copy was stored by may have been ahead of this one.
            moments = {i: max([now, *(copy.stored_at + TICK for copy in known.get(i, ()))]) for i in ids}
            self._note(connection, replace(deletion, runs_deleted=len(known)), moments)
            self._remove(connection, sorted(map(run_key, known)))

        self._session.write("delete runs from", remove)
        return deletion.audit_id

    def record(self, deletion: Deletion, moments: Mapping[str, datetime]) -> None:
        ids = sorted(moments)

        def remove(connection: sa.Connection) -> None:
            known = reading.copies(connection, self._tables.runs, self._dialect, ids)
            self._note(connection, deletion, moments)
            gone = [run_id for run_id, [copy] in known.items() if copy.stored_at <= moments[run_id]]
            self._remove(connection, sorted(map(run_key, gone)))

        self._session.write("delete runs from", remove)

    def _note(self, connection: sa.Connection, deletion: Deletion, moments: Mapping[str, datetime]) -> None:
        """Write a deletion and its runs down, unless they are."""
        table = self._tables.deletions
        there = sa.select(sa.func.count()).where(table.c.audit_id == deletion.audit_id)
        if connection.scalar(there):
            return
        query = deletion.query
        row = {
            "audit_id": deletion.audit_id,
            "deleted_at": self._dialect.moment(deletion.deleted_at),
            "actor": self._dialect.text(deletion.actor),
            "query": query if query is None else json.dumps(query, sort_keys=True),
            "runs_deleted": deletion.runs_deleted,
            "issues_deleted": deletion.issues_deleted,
        }
        connection.execute(table.insert(), row)
        self.files.put(connection, mark_path(deletion.audit_id), encode_marks(deletion, moments, None))

    def deletions(self) -> list[Deletion]:
        table = self._tables.deletions
        query = sa.select(table).order_by(table.c.deleted_at, table.c.audit_id)
        rows = self._session.read("list the deletions of", lambda c: c.execute(query).all())
        return [
            Deletion(
                row.audit_id,
                self._dialect.column([row.deleted_at], _MOMENT)[0].as_py(),
                self._dialect.column([row.actor], pa.string())[0].as_py(),
                None if row.query is None else json.loads(row.query),
                row.runs_deleted,
                row.issues_deleted,
            )
            for row in rows
        ]

    def compact_day(
        self,
        day: date,
        grace: timedelta | None = None,  # noqa: ARG002  (there are no old files to keep)
    ) -> Compacted:
        """Nothing to bring into form; how much the day has."""
        return self._counted([day]).get(day, Compacted(day, 0, 0, 0, 0, False))

    def maintain(
        self,
        grace: timedelta | None = None,  # noqa: ARG002  (there are no old files to keep)
        on_day: Callable[[Compacted], None] | None = None,
    ) -> Maintained:
        """Let the database look at its tables anew, so that it plans queries well."""
        big = [self._tables.runs, self._tables.issues]
        self._session.write("analyse", lambda c: self._dialect.refresh(c, big))
        days = list(self._counted().values())
        if on_day is not None:
            for day in days:
                on_day(day)
        return Maintained(days, 0)

    def stored(self, days: Sequence[date], table: str) -> dict[date, tuple[int, int]]:
        """No files, and the bytes of the texts."""
        of = self._tables.runs if table == RUNS else self._tables.issues
        texts = [sa.func.coalesce(sa.func.length(c), 0) for c in of.c if isinstance(c.type, sa.String)]
        query = (
            sa.select(of.c.run_date, sa.func.sum(sum(texts[1:], texts[0])))
            .where(of.c.run_date.in_([self._dialect.day(day) for day in days]))
            .group_by(of.c.run_date)
        )
        rows = self._session.read("measure", lambda c: c.execute(query).all())
        sizes = {self._date(day): int(size) for day, size in rows}
        return {day: (0, sizes.get(day, 0)) for day in days}

    def check(self) -> Health:
        """A real round trip, given up after `timeout_seconds`."""
        answer: Future[Health] = Future()
        threading.Thread(target=lambda: answer.set_result(super(Database, self).check()), daemon=True).start()
        try:
            return answer.result(self._deadline)
        except TimeoutError:
            error = f"{self.url} did not answer within {self._deadline:g} s."
            return Health(False, self._deadline * 1000, error)

    def _copy(self, connection: duckdb.DuckDBPyConnection, tables: Sequence[str], wanted: Wanted) -> None:
        self._session.read(
            "read",
            lambda c: reading.copy(c, connection, self._statements, self._dialect, tables, wanted),
        )

    def _remove(self, connection: sa.Connection, keys: Sequence[str]) -> None:
        """Remove runs with their issues."""
        for start in range(0, len(keys), IDS_AT_ONCE):
            part = keys[start : start + IDS_AT_ONCE]
            gone = self._tables.runs
            connection.execute(gone.delete().where(gone.c[RUN_KEY].in_(part)))
            issues = self._tables.issues
            connection.execute(issues.delete().where(issues.c[RUN_KEY].in_(part)))

    def _counted(self, days: Sequence[date] | None = None) -> dict[date, Compacted]:
        runs = self._tables.runs
        counts = [runs.c[name] for name in SEVERITY_COUNTS]
        query = sa.select(runs.c.run_date, sa.func.count(), sa.func.sum(sum(counts[1:], counts[0])))
        if days is not None:
            query = query.where(runs.c.run_date.in_([self._dialect.day(day) for day in days]))
        query = query.group_by(runs.c.run_date).order_by(runs.c.run_date)
        rows = self._session.read("count the days of", lambda c: c.execute(query).all())
        counted = [(self._date(day), number, int(issues)) for day, number, issues in rows]
        return {day: Compacted(day, 0, 0, number, issues, False) for day, number, issues in counted}

    def _date(self, value: object) -> date:
        day: date = self._dialect.column([value], pa.date32())[0].as_py()
        return day
