"""A MongoDB database as a storage of runs and issues: one document per run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from resources.backend import BOTH, RUNS, Backend, Pushdown
from resources.backends.mongodb.connection import Connection
from resources.backends.mongodb.files import MongoFiles
from resources.errors import StorageError
from resources.health import Health
from resources.lake import layout
from resources.session import cursor

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from resources.lake.compact import Compacted
    from resources.lake.maintain import Maintained
    from resources.lake.marks import Audit, Deletion
    from resources.lake.verdict import Appended

T = TypeVar("T")

SCHEMA_VERSION = 1
"""Of the documents; a change of their shape is a new one, and brings its own step up from the last."""


class MongoStore(Backend):
    """Runs and issues in the collections of one database."""

    def __init__(self, connection: Connection) -> None:
        self.files = MongoFiles(connection)
        self._connection = connection
        self._prepared = False

    @property
    def url(self) -> str:
        return self._connection.url

    def append(self, runs: pa.Table, issues: pa.Table) -> Appended:
        from resources.backends.mongodb.write import append
        from resources.lake.marks import read_deletions
        from resources.lake.verdict import COPIED

        ids = runs["validation_run_id"].to_pylist()
        deletions = read_deletions(self.files, ids) if COPIED in runs.column_names else {}
        with self._connection.doing("store runs in"):
            self._prepare()
            return append(self._connection, runs, issues, deletions)

    def reading(
        self,
        work: Callable[[duckdb.DuckDBPyConnection], T],
        first: date | None = None,
        last: date | None = None,
        tables: Sequence[str] = BOTH,
        pushdown: Pushdown | None = None,
    ) -> T:
        def attempt() -> T:
            with cursor() as duck:
                self._define(duck, first, last, tables, pushdown)
                return work(duck)

        return layout.relisting(attempt)

    def limits(self, pushdown: Pushdown) -> bool:
        """A run's document counts its issues by severity, and not by anything else."""
        return pushdown.categories is None and pushdown.fingerprint is None

    def define_views(
        self,
        connection: duckdb.DuckDBPyConnection,
        first: date | None = None,
        last: date | None = None,
        tables: Sequence[str] = BOTH,
        pushdown: Pushdown | None = None,
    ) -> list[str]:
        def attempt() -> None:
            for table in BOTH:
                connection.execute(f"DROP TABLE IF EXISTS {table}")
            self._define(connection, first, last, tables, pushdown)

        layout.relisting(attempt)
        return []

    def days(self) -> list[date]:
        with self._connection.doing("list the days in"):
            return sorted(map(date.fromisoformat, self._connection.reading.runs.distinct("run_date")))

    def delete(self, run_ids: Iterable[str], audit: Audit | None = None) -> str:
        from resources.backends.mongodb import deletions, write
        from resources.lake.marks import TICK, Audit, write_marks

        ids = set(run_ids)
        if not ids:
            return ""
        with self._connection.doing("delete runs in"):
            self._prepare()
            known = write.look_up(self._connection, sorted(ids)).copies
            copies = {(run_id, copy.batch_id) for run_id, [copy] in known.items()}
            deletion = deletions.made(ids, audit or Audit())
            now = deletion.deleted_at
            # The clock that a copy was stored by may have been ahead of this one.
            moments = {i: max([now, *(copy.stored_at + TICK for copy in known.get(i, ()))]) for i in ids}
            write_marks(self.files, deletion, moments)
            deletions.delete(self._connection.writing, deletion, copies)
            return deletion.audit_id

    def record(self, deletion: Deletion, moments: Mapping[str, datetime]) -> None:
        from resources.backends.mongodb import deletions, write
        from resources.lake.marks import write_marks

        with self._connection.doing("delete runs in"):
            self._prepare()
            known = write.look_up(self._connection, sorted(moments)).copies
            copies = {
                (run_id, copy.batch_id)
                for run_id, [copy] in known.items()
                if copy.stored_at <= moments[run_id]
            }
            write_marks(self.files, deletion, moments)
            deletions.delete(self._connection.writing, deletion, copies)

    def deletions(self) -> list[Deletion]:
        from resources.backends.mongodb.deletions import audits

        with self._connection.doing("read the deletions in"):
            return audits(self._connection.reading)

    def compact_day(
        self,
        day: date,
        grace: timedelta | None = None,  # noqa: ARG002  (there are no old files to keep)
    ) -> Compacted:
        """How much a day holds: a database keeps itself in form."""
        from resources.lake.compact import Compacted
        from resources.schema import SEVERITY_COUNTS

        issues = {"$sum": {"$add": [f"${name}" for name in SEVERITY_COUNTS]}}
        pipeline: list[dict[str, Any]] = [
            {"$match": {"run_date": day.isoformat()}},
            {"$group": {"_id": None, "runs": {"$sum": 1}, "issues": issues}},
        ]
        with self._connection.doing("count the runs in"):
            found = next(iter(self._connection.reading.runs.aggregate(pipeline)), {"runs": 0, "issues": 0})
        return Compacted(day, 0, 0, found["runs"], found["issues"], written=False)

    def maintain(
        self,
        grace: timedelta | None = None,  # noqa: ARG002  (there are no old files to keep)
        on_day: Callable[[Compacted], None] | None = None,
    ) -> Maintained:
        """Finish interrupted deletions, and remove what killed writers left."""
        from resources.backends.mongodb.deletions import finish
        from resources.lake.compact import ORPHAN_AGE
        from resources.lake.maintain import Maintained

        before = time.time() - ORPHAN_AGE.total_seconds()
        with self._connection.doing("tidy up"):
            self._prepare()
            finish(self._connection.writing)
            self._remove_orphans(before)
        self.files.sweep(before)
        compacted = []
        for day in self.days():
            compacted.append(self.compact_day(day))
            if on_day is not None:
                on_day(compacted[-1])
        return Maintained(compacted, 0)

    def stored(self, days: Sequence[date], table: str) -> dict[date, tuple[int, int]]:
        """The bytes are those of the documents, the issues in them apart, without parts."""
        totals = dict.fromkeys(days, (0, 0))
        size: Any = {"$bsonSize": {"issues": "$issues"}}
        if table == RUNS:
            size = {"$subtract": [{"$bsonSize": "$$ROOT"}, size]}
        pipeline: list[dict[str, Any]] = [
            {"$match": {"run_date": {"$in": [day.isoformat() for day in days]}}},
            {"$group": {"_id": "$run_date", "bytes": {"$sum": size}}},
        ]
        with self._connection.doing("measure the runs in"):
            for found in self._connection.reading.runs.aggregate(pipeline):
                totals[date.fromisoformat(found["_id"])] = 0, found["bytes"]
        return totals

    def check(self) -> Health:
        """A real round trip, within the time that the settings give it."""
        import pymongo

        with pymongo.timeout(self._connection.timeout):
            return super().check()

    def _define(
        self,
        duck: duckdb.DuckDBPyConnection,
        first: date | None,
        last: date | None,
        tables: Sequence[str],
        pushdown: Pushdown | None,
    ) -> None:
        from resources.backends.mongodb.read import define

        with self._connection.doing("read"):
            self._refuse_newer()
        define(self._connection, duck, first, last, tables, pushdown or Pushdown())

    def _prepare(self) -> None:
        """Make the indexes, and write down the version of the documents, once per process."""
        if self._prepared:
            return
        collections = self._connection.writing
        self._refuse_newer()
        collections.runs.create_index("run_date")
        collections.runs.create_index("timestamp")
        collections.runs.create_index([("target_plugin", 1), ("timestamp", 1)])
        version = {"$setOnInsert": {"version": SCHEMA_VERSION, "made": datetime.now(UTC)}}
        collections.meta.update_one({"_id": "schema"}, version, upsert=True)
        self._prepared = True

    def _refuse_newer(self) -> None:
        found = self._connection.reading.meta.find_one({"_id": "schema"})
        if found is not None and found["version"] > SCHEMA_VERSION:
            raise StorageError(
                f"{self.url} was written by a newer issuelake (version {found['version']} of its documents,"
                f" this one knows {SCHEMA_VERSION}): update issuelake."
            )

    def _remove_orphans(self, before: float) -> None:
        """Remove parts that no run names and that nobody can still be about to name."""
        from bson import ObjectId

        collections = self._connection.writing
        old = {"_id": {"$lt": ObjectId.from_datetime(datetime.fromtimestamp(before, UTC))}}
        lost = {part["_id"] for part in collections.parts.find(old, ["_id"])}
        for run in collections.runs.find({"parts": {"$exists": True}}, ["parts"]) if lost else ():
            lost.difference_update(run["parts"])
        if lost:
            collections.parts.delete_many({"_id": {"$in": list(lost)}})
