"""What every storage of runs and issues promises, whatever holds them.

A storage's module derives from `BackendContract`, supplies the fixture `place` and the method
`another`, and declares by name, among its class attributes, where it deviates.
"""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, ClassVar

import duckdb
import pyarrow as pa
import pytest

from assets import deletion, ingest, kernel, sql_access, summary
from assets.query import Query
from assets.retention.choosing import Leaving
from assets.retention.retire import retire
from assets.trends import figures
from assets.trends.model import Asked
from resources import schema
from resources.backend import BOTH, ISSUES, RUNS, Backend, Pushdown
from resources.config import Storage as Selected
from resources.contract import Delivery
from resources.errors import Vanished
from resources.lake.marks import TICK, Deletion
from resources.lake.verdict import Appended
from resources.session import connect, literal
from tests.lake.state import DAYS, NOW, SEVERITIES, State, append, check, document, read, stored
from tests.problems.histories import Issue, Run, expected, lifecycle, store

HISTORY = [
    Run(f"run {n}", 24 * n, (Issue("one"), Issue("two", severity="low")) if n % 2 else (Issue("one"),))
    for n in range(4)
]

EARLIER = datetime(2025, 4, 1, 12, 30, 0, 123456, UTC)

HOSTILE_IDS = (
    "plain",
    "a/b",
    "../../etc/passwd",
    "..",
    ".",
    "/absolute",
    "C:\\windows",
    "nul\0inside",
    "two\nlines",
    'it\'s "quoted" -- ; DROP TABLE runs',
    "%2e%2e%2f{}?*[x]",
    "  spaces  ",
    "ünï-☃-𝕏-\u202e",
    "é",  # precomposed …
    "e\u0301",  # … and not: two different ids
    "x" * 10_000,
    "",
)

TYPES = {
    "string": "VARCHAR",
    "json": "VARCHAR",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "date": "DATE",
}


class BackendContract:
    writers: ClassVar[int] = 4
    """How many write side by side."""
    clock: ClassVar[str] = "resources.lake.write.datetime"
    """What tells the moment of storing, by its import path."""

    @pytest.fixture
    def place(self) -> Any:
        """A place of its own for each test, in whatever form `another` takes."""
        raise NotImplementedError("each storage says where")

    @pytest.fixture
    def backend(self, place: Any) -> Backend:
        return self.another(place)

    def another(self, place: Any) -> Backend:
        """A backend at the same place that shares nothing in this process with the others."""
        raise NotImplementedError("each storage says how")

    # --- storing -----------------------------------------------------------------------------------

    # --- storing -----------------------------------------------------------------------------------

    def test_an_empty_place_is_an_empty_storage(self, backend: Backend) -> None:
        check(backend, {})
        assert backend.days() == []
        assert backend.rejected() == []
        assert backend.maintain(NOW).days == []

    def test_every_column_comes_back_as_it_was(self, backend: Backend) -> None:
        run = {
            "validation_run_id": "r",
            "timestamp": "2025-03-01T23:30:00.123456-02:00",
            "target_plugin": "pluginé",
            "change_type": "modified",
            "pipeline_score": 0,
            "metadata": {"b": [1, 2.5, None], "a": {"nested": True}},
            "unnamed": {"at": "the top"},
            "issues_list": [
                {
                    "severity": "low",
                    "description": "tab\tand\nline",
                    "category": "c",
                    "file_path": "a/b.py",
                    "recommendation": "",
                    "details": {"rule": "E501", "line": 7},
                    "unnamed": [1],
                },
                {"severity": "critical", "description": ""},
            ],
        }
        before = datetime.now(UTC)
        assert append(backend, [run]).issues_stored == 2
        runs, issues = backend.reading(
            lambda c: (rows(c, "SELECT * FROM runs"), rows(c, "SELECT * FROM issues ORDER BY issue_index"))
        )
        [kept] = runs
        assert before <= kept.pop("stored_at") <= datetime.now(UTC)
        assert len(kept.pop("batch_id")) == 32
        assert len(kept.pop("content_hash")) == 32
        moment = datetime(2025, 3, 2, 1, 30, 0, 123456, UTC)
        assert kept == {
            "validation_run_id": "r",
            "timestamp": moment,
            "target_plugin": "pluginé",
            "change_type": "modified",
            "pipeline_score": 0,
            "metadata": '{"a":{"nested":true},"b":[1,2.5,null]}',
            "critical_issues": 1,
            "high_issues": 0,
            "medium_issues": 0,
            "low_issues": 1,
            "source": "test.json",
            "extra": '{"unnamed":{"at":"the top"}}',
            "run_date": date(2025, 3, 2),
        }
        low, critical = issues
        assert low.pop("fingerprint") != critical.pop("fingerprint")
        assert low.pop("batch_id") == critical.pop("batch_id")
        shared = {
            "validation_run_id": "r",
            "timestamp": moment,
            "target_plugin": "pluginé",
            "run_date": date(2025, 3, 2),
        }
        assert low == shared | {
            "issue_index": 0,
            "category": "c",
            "severity": "low",
            "description": "tab\tand\nline",
            "file_path": "a/b.py",
            "recommendation": "",
            "details": '{"line":7,"rule":"E501"}',
            "extra": '{"unnamed":[1]}',
        }
        assert critical == shared | {
            "issue_index": 1,
            "category": None,
            "severity": "critical",
            "description": "",
            "file_path": None,
            "recommendation": None,
            "details": None,
            "extra": None,
        }

    def test_severities_are_ordered_from_the_worst(self, backend: Backend) -> None:
        append(backend, [document("r", issues=8)])
        ordered = backend.reading(lambda c: rows(c, "SELECT DISTINCT severity FROM issues ORDER BY severity"))
        assert [row["severity"] for row in ordered] == ["critical", "high", "medium", "low"]

    def test_stored_again_is_a_duplicate(self, backend: Backend, place: Any) -> None:
        assert append(backend, [document("a"), document("b")]).runs_stored == 2
        for again in (backend, self.another(place)):
            appended = append(again, [document("a"), document("b")])
            assert (appended.runs_stored, appended.duplicates, appended.days) == (0, 2, set())
        mixed = append(backend, [document("b"), document("c"), document("c")])
        assert (mixed.runs_stored, mixed.duplicates) == (1, 2)
        check(backend, {i: stored(i) for i in "abc"})

    def test_the_latest_content_wins(self, backend: Backend, place: Any) -> None:
        for version in range(4):
            append(backend, [document("a", version=version, issues=version)])
            check(backend, {"a": stored("a", version=version, issues=version)})
        check(self.another(place), {"a": stored("a", version=3, issues=3)})

    def test_the_last_in_a_batch_wins(self, backend: Backend) -> None:
        appended = append(backend, [document("a", version=v) for v in (1, 2, 1, 3)])
        assert appended.runs_stored + appended.duplicates == 4
        check(backend, {"a": stored("a", version=3)})

    def test_a_then_b_then_a_again(self, backend: Backend) -> None:
        for version in (1, 2, 1, 2, 1):
            assert append(backend, [document("a", version=version)]).runs_stored == 1
            check(backend, {"a": stored("a", version=version)})
        backend.compact_day(DAYS[0], NOW)
        check(backend, {"a": stored("a", version=1)})

    def test_a_corrected_timestamp_moves_the_run(self, backend: Backend, place: Any) -> None:
        append(backend, [document("a"), document("b")])
        for day in (DAYS[3], DAYS[1], DAYS[0], DAYS[3], DAYS[2]):
            append(backend, [document("a", day)])
            wanted = {"a": stored("a", day), "b": stored("b")}
            check(backend, wanted)
            check(self.another(place), wanted)
        backend.maintain(NOW)
        check(self.another(place), wanted)

    def test_a_clean_run_is_a_run(self, backend: Backend) -> None:
        append(backend, [document("clean", issues=0)])
        check(backend, {"clean": stored("clean", issues=0)})
        append(backend, [document("clean", issues=3, version=1)])
        append(backend, [document("clean", issues=0, version=2)])
        backend.compact_day(DAYS[0], NOW)
        check(backend, {"clean": stored("clean", issues=0, version=2)})

    def test_hostile_ids(self, backend: Backend) -> None:
        append(backend, [document(i) for i in HOSTILE_IDS])
        wanted = {i: stored(i) for i in HOSTILE_IDS}
        check(backend, wanted)
        assert append(backend, [document(i) for i in HOSTILE_IDS]).duplicates == len(HOSTILE_IDS)
        moved = HOSTILE_IDS[::2]
        append(backend, [document(i, DAYS[1], version=1) for i in moved])
        wanted |= {i: stored(i, DAYS[1], version=1) for i in moved}
        check(backend, wanted)
        backend.maintain(NOW)
        check(backend, wanted)
        backend.delete(HOSTILE_IDS[:8])
        wanted = {i: run for i, run in wanted.items() if i not in HOSTILE_IDS[:8]}
        check(backend, wanted)
        backend.maintain(NOW)
        check(backend, wanted)

    def test_several_days_in_a_batch(self, backend: Backend) -> None:
        appended = append(backend, [document(f"r{n}", DAYS[n % 6], issues=n % 4) for n in range(30)])
        assert appended.days == set(DAYS)
        assert backend.days() == DAYS
        check(backend, {f"r{n}": stored(f"r{n}", DAYS[n % 6], issues=n % 4) for n in range(30)})

    def test_nothing_at_all(self, backend: Backend) -> None:
        appended = append(backend, [])
        assert (appended.runs_stored, appended.duplicates, appended.days) == (0, 0, set())
        assert backend.delete([]) == ""
        backend.reject([])
        backend.take_rejected([])
        check(backend, {})
        assert backend.deletions() == []

    def test_a_large_run(self, backend: Backend, place: Any) -> None:
        wanted = {"large": stored("large", issues=20_000), "small": stored("small")}
        assert append(backend, [document("large", issues=20_000), document("small")]).issues_stored == 20_002
        check(backend, wanted)
        append(backend, [document("large", DAYS[1], version=1, issues=3)])
        check(self.another(place), wanted | {"large": stored("large", DAYS[1], version=1, issues=3)})

    def test_long_and_hostile_texts(self, backend: Backend) -> None:
        texts = ["x" * 300_000, *HOSTILE_IDS, "\ue000", "\\N", "\\.", "a\ue0000\0b", "\t\r\n\b\x1f"]
        run = {
            "validation_run_id": "r",
            "timestamp": "2025-03-01T12:00:00Z",
            "target_plugin": texts[0][:5_000],
            "issues_list": [
                {"severity": "low", "description": t, "category": t, "file_path": t, "details": {t: t}}
                for t in texts
            ],
        }
        append(backend, [run])
        seen = backend.reading(
            lambda c: c.execute(
                "SELECT description, category, file_path, details FROM issues ORDER BY issue_index"
            ).fetchall()
        )
        assert [row[:3] for row in seen] == [(t, t, t) for t in texts]
        assert [json.loads(row[3]) for row in seen] == [{t: t} for t in texts]

    # --- reading -----------------------------------------------------------------------------------

    def test_only_the_tables_that_are_asked_for(self, backend: Backend) -> None:
        fill(backend)
        for table, other in ((RUNS, ISSUES), (ISSUES, RUNS)):
            backend.reading(partial(rows, query=f"SELECT * FROM {table}"), DAYS[0], DAYS[1], (table,))
            with pytest.raises(duckdb.CatalogException):
                backend.reading(partial(rows, query=f"SELECT * FROM {other}"), DAYS[0], DAYS[1], (table,))

    def test_a_pushdown_leaves_out_nothing_that_fulfils_it(self, backend: Backend) -> None:
        fill(backend)
        append(backend, [document(i) for i in HOSTILE_IDS])
        [[fingerprint]] = backend.reading(
            lambda c: c.execute(
                "SELECT fingerprint FROM issues WHERE validation_run_id = 'r2-5' LIMIT 1"
            ).fetchall()
        )
        noon = datetime(2025, 3, 2, 12, tzinfo=UTC)
        of_runs: list[tuple[Pushdown, str]] = [
            (Pushdown(plugin="plugin-1"), "target_plugin = 'plugin-1'"),
            *(
                (Pushdown(run_id=i), f"validation_run_id = {literal(i)}")
                for i in HOSTILE_IDS
                if "\0" not in i
            ),
            (Pushdown(run_ids=("r2-5", "r0-0")), "validation_run_id IN ('r2-5', 'r0-0')"),
            (Pushdown(run_ids=()), "false"),
            (Pushdown(since=noon), f"\"timestamp\" >= '{noon}'"),
            (Pushdown(until=noon), f"\"timestamp\" <= '{noon}'"),
        ]
        of_issues = [
            (Pushdown(severities=("high", "low")), "severity IN ('high', 'low')"),
            (Pushdown(categories=("none", "it's")), "category IN ('none', 'it''s')"),
            (Pushdown(fingerprint=fingerprint), f"fingerprint = '{fingerprint}'"),
        ]
        cases = [(*case, BOTH) for case in of_runs] + [(*case, (ISSUES,)) for case in of_issues]

        def answer(connection: duckdb.DuckDBPyConnection, where: str, tables: tuple[str, ...]) -> Any:
            return [rows(connection, f"SELECT * FROM {table} WHERE {where} ORDER BY ALL") for table in tables]

        whole = backend.reading(lambda c: [answer(c, where, tables) for _, where, tables in cases])
        for (pushdown, where, tables), wanted in zip(cases, whole, strict=True):
            found = backend.reading(partial(answer, where=where, tables=tables), pushdown=pushdown)
            assert found == wanted, pushdown

    def test_the_views_of_everything(self, backend: Backend) -> None:
        wanted = fill(backend)
        with connect() as connection:
            backend.define_views(connection)
            assert {r["validation_run_id"] for r in rows(connection, "FROM runs")} == set(wanted)
            count = sum(len(run.issues) for run in wanted.values())
            assert rows(connection, "SELECT count(*) AS n FROM issues") == [{"n": count}]

    def test_columns_have_the_types_of_the_schema(self, backend: Backend) -> None:
        for _ in range(2):  # without a row, and with some
            for table, columns in ((RUNS, schema.RUNS), (ISSUES, schema.ISSUES)):
                described = backend.reading(partial(rows, query=f"DESCRIBE {table}"))
                kinds = {r["column_name"]: r["column_type"] for r in described}
                severities = ", ".join(map(literal, SEVERITIES))
                assert kinds == {
                    c.name: f"ENUM({severities})" if c.name == "severity" else TYPES[c.type]
                    for c in (*columns, schema.RUN_DATE)
                }
            append(backend, [document("a")])

    def test_sql_behind_the_fence(self, backend: Backend) -> None:
        wanted = fill(backend)
        table = sql_access.select(
            backend, "SELECT count(*) AS n FROM runs UNION ALL SELECT count(*) FROM issues"
        )
        assert table["n"].to_pylist() == [len(wanted), sum(len(run.issues) for run in wanted.values())]
        summed = sql_access.select(backend, "SELECT sum(total_issues)::BIGINT AS n FROM daily_summary")
        assert summed["n"].to_pylist() == [table["n"][1].as_py()]
        assert sql_access.select(backend, "SELECT * FROM rejected").num_rows == 0

    def test_what_is_stored_is_told(self, backend: Backend) -> None:
        fill(backend)
        for table in (RUNS, ISSUES):
            told = backend.stored([DAYS[0], DAYS[1], date(1999, 1, 1)], table)
            assert told[date(1999, 1, 1)] == (0, 0)
            assert all(files >= 0 and size > 0 for files, size in (told[DAYS[0]], told[DAYS[1]]))

    def test_a_storage_that_works_is_healthy(self, backend: Backend) -> None:
        assert backend.check().healthy
        check(backend, {})

    # --- daily summaries ---------------------------------------------------------------------------

    def test_daily_summaries(self, backend: Backend, place: Any) -> None:
        wanted = fill(backend)
        days = sorted({run.day for run in wanted.values()})
        assert summary.outdated(backend) == days
        for day in days:
            made = summary.summarise(backend, day)
            assert made.path is not None
            assert made.size > 0
        assert summary.outdated(self.another(place)) == []
        append(backend, [document("another", days[0])])
        assert summary.outdated(backend) == [days[0]]

    # --- deleting ----------------------------------------------------------------------------------

    def test_a_deletion_hides_at_once(self, backend: Backend, place: Any) -> None:
        append(backend, [document("secret"), document("kept")])
        append(backend, [document("secret", DAYS[1], version=1)])
        append(backend, [document("alone", DAYS[2])])
        backend.delete(["secret", "alone", "never stored"])
        wanted = {"kept": stored("kept")}
        check(backend, wanted)
        check(self.another(place), wanted)
        backend.maintain(NOW)
        check(self.another(place), wanted)

    def test_deleted_then_stored_again(self, backend: Backend) -> None:
        for compacting in (False, True):
            append(backend, [document("a"), document("b")])
            backend.delete(["a"])
            check(backend, {"b": stored("b")})
            if compacting:
                backend.compact_day(DAYS[0], NOW)
            assert append(backend, [document("a")]).runs_stored == 1
            check(backend, {"a": stored("a"), "b": stored("b")})

    def test_a_deletion_by_query(self, backend: Backend, place: Any) -> None:
        wanted = fill(backend)
        chosen = {i for i, run in wanted.items() if DAYS[0] <= run.day <= DAYS[1]}
        query = {"date_from": str(DAYS[0]), "date_to": str(DAYS[1])}
        issues = sum(len(wanted[i].issues) for i in chosen)
        counts = {"runs_deleted": len(chosen), "issues_deleted": issues}
        answer = delete(backend, dry_run=True, **query)
        assert answer["issues_data"] == counts | {"dry_run": True, "audit_id": None}
        assert answer["operation_result"]["records_affected"] == 0
        check(backend, wanted)
        answer = delete(backend, **query)
        audit_id = answer["issues_data"].pop("audit_id")
        assert answer["issues_data"] == counts | {"dry_run": False}
        assert answer["operation_result"]["records_affected"] == len(chosen)
        wanted = {i: run for i, run in wanted.items() if i not in chosen}
        for reader in (backend, self.another(place)):
            check(reader, wanted)
        again = delete(backend, **query)["issues_data"]
        assert again == {"runs_deleted": 0, "issues_deleted": 0, "dry_run": False, "audit_id": None}
        backend.maintain(NOW)
        check(self.another(place), wanted)
        *_, last = self.another(place).deletions()
        assert (last.audit_id, last.actor, last.query) == (audit_id, "a tester", query)
        assert (last.runs_deleted, last.issues_deleted) == (len(chosen), issues)
        assert abs(datetime.now(UTC) - last.deleted_at) < timedelta(minutes=5)

    def test_every_run_can_be_deleted(self, backend: Backend, place: Any) -> None:
        append(backend, [document("a"), document("b", DAYS[1])])
        assert delete(backend, all=True)["issues_data"]["runs_deleted"] == 2
        check(backend, {})
        backend.maintain(NOW)
        check(self.another(place), {})
        assert [d.query for d in backend.deletions()] == [{"all": True}]
        assert append(backend, [document("a")]).runs_stored == 1
        check(backend, {"a": stored("a")})

    def test_deleted_by_a_clock_that_is_behind(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(self.clock, clock(timedelta(hours=3)))
            append(backend, [document("a")])
        append(backend, [document("a", version=1)])
        check(backend, {"a": stored("a", version=1)})
        backend.delete(["a"])
        check(backend, {})
        with monkeypatch.context() as patched:
            patched.setattr(self.clock, clock(timedelta(hours=-3)))
            append(backend, [document("a", version=2)])
        check(backend, {"a": stored("a", version=2)})

    # --- copies out of other storages --------------------------------------------------------------

    def test_a_copy_keeps_its_moment(self, backend: Backend, place: Any) -> None:
        for _ in range(2):  # the same again changes nothing
            append_copy(backend, document("a", issues=3), EARLIER)
            check(self.another(place), {"a": stored("a", issues=3)})
            assert moments(backend) == {"a": EARLIER}

    def test_of_copies_the_later_one_wins(self, backend: Backend) -> None:
        later = EARLIER + timedelta(hours=1)
        for day, version, at, counts in ((0, 1, later, 1), (1, 2, EARLIER, 0), (2, 3, later + TICK, 1)):
            appended = append_copy(backend, document("a", DAYS[day], version), at)
            assert (appended.runs_stored, appended.duplicates) == (counts, 1 - counts)
        check(backend, {"a": stored("a", DAYS[2], 3)})
        append(backend, [document("a", version=4)])
        assert append_copy(backend, document("a", version=5), later).duplicates == 1
        check(backend, {"a": stored("a", version=4)})

    def test_a_copy_of_what_is_there_is_a_duplicate(self, backend: Backend) -> None:
        append(backend, [document("a")])
        before = moments(backend)
        for at in (EARLIER, datetime.now(UTC) + timedelta(days=1)):
            assert append_copy(backend, document("a"), at).duplicates == 1
        assert moments(backend) == before

    def test_a_copy_of_what_was_deleted_stays_deleted(self, backend: Backend, place: Any) -> None:
        append_copy(backend, document("a"), EARLIER)
        backend.delete(["a", "never there"])
        for _ in range(2):
            assert append_copy(self.another(place), document("a"), EARLIER).duplicates == 1
            assert append_copy(backend, document("never there"), EARLIER).duplicates == 1
            check(backend, {})
            backend.maintain(NOW)
        later = datetime.now(UTC) + timedelta(seconds=1)
        assert append_copy(backend, document("a"), later).runs_stored == 1
        check(backend, {"a": stored("a")})

    def test_what_is_retired_is_counted_as_before(self, backend: Backend, place: Any) -> None:
        store(backend, HISTORY)
        retire(backend, [Leaving(run.run_id, run.plugin, run.moment, 2, "a rule") for run in HISTORY[:3]])
        for reader in (backend, self.another(place)):
            assert reader.reading(lambda c: rows(c, "SELECT validation_run_id AS id FROM runs")) == [
                {"id": HISTORY[3].run_id}
            ]
            assert lifecycle(reader) == expected(HISTORY)
            assert [row.runs for row in figures.periods(reader, Asked())] == [1] * 8
            backend.maintain(NOW)
        [deletion] = backend.deletions()
        assert (deletion.actor, deletion.query, deletion.runs_deleted) == ("retention", {"a rule": 3}, 3)
        backend.delete([HISTORY[0].run_id])  # by somebody: then what stayed goes as well
        assert lifecycle(backend) == expected(HISTORY[1:])

    @pytest.mark.parametrize("query", [None, {"plugin_name": "it's \u2603"}], ids=["by name", "by query"])
    def test_a_deletion_is_recorded_as_it_was(self, backend: Backend, place: Any, query: Any) -> None:
        for i in "abc":
            append_copy(backend, document(i), EARLIER)
        at = EARLIER + timedelta(minutes=1)
        deletion = Deletion("0123456789abcdef" * 2, at, "somebody", query, 7, 11)
        for _ in range(2):
            backend.record(deletion, {"a": at, "b": EARLIER - TICK, "gone": at})
            assert self.another(place).deletions() == [deletion]
            assert self.another(place).deleted_runs(deletion.audit_id)["gone"] == at
            check(self.another(place), {i: stored(i) for i in "bc"})
        backend.maintain(NOW)
        check(backend, {i: stored(i) for i in "bc"})
        assert append_copy(backend, document("a"), EARLIER).duplicates == 1
        foreign = replace(deletion, audit_id="../../" + "x" * 26, deleted_at=at + TICK)
        backend.record(foreign, {})
        assert [d.deleted_at for d in backend.deletions()] == [at, at + TICK]

    def test_what_went_away_may_come_back(self, backend: Backend) -> None:
        append_copy(backend, document("a"), EARLIER)
        deletion = Deletion("0" * 32, datetime.now(UTC), "somebody", {"moved_to": "elsewhere"}, 1, 2)
        for n in range(3):
            at = EARLIER + n * TICK
            backend.record(replace(deletion, audit_id=f"{n:032}"), {"a": at})
            check(backend, {})
            assert append_copy(backend, document("a"), at).runs_stored == 1
            check(backend, {"a": stored("a")})

    def test_what_a_deletion_took_is_known(self, backend: Backend, place: Any) -> None:
        append(backend, [document("a"), document("b")])
        before = datetime.now(UTC)
        audit_id = backend.delete(["a", "never there"])
        assert audit_id == backend.deletions()[0].audit_id
        gone = self.another(place).deleted_runs(audit_id)
        assert set(gone) == {"a", "never there"}
        assert all(before <= moment <= datetime.now(UTC) for moment in gone.values())
        assert backend.deleted_runs("f" * 32) == {}

    # --- compacting --------------------------------------------------------------------------------

    def test_compaction_changes_no_row(self, backend: Backend, place: Any) -> None:
        wanted = fill(backend)
        everything = ("SELECT * FROM runs ORDER BY ALL", "SELECT * FROM issues ORDER BY ALL")
        before = [backend.reading(partial(rows, query=q)) for q in everything]
        maintained = backend.maintain(NOW)
        assert sum(c.runs for c in maintained.days) == len(wanted)
        for reader in (backend, self.another(place)):
            assert [reader.reading(partial(rows, query=q)) for q in everything] == before
            check(reader, wanted)
        assert {run.day for run in wanted.values()} <= set(backend.days())
        again = backend.maintain(NOW)
        assert not any(c.written for c in again.days)

    # --- rejected deliveries -----------------------------------------------------------------------

    def test_rejected_deliveries(self, backend: Backend, place: Any) -> None:
        broken = {f"in/b {n}.json": b'{"broken": %d' % n for n in range(3)}
        for _ in range(2):  # the same again changes nothing
            refused = ingest.store_deliveries(backend, [Delivery(s, raw) for s, raw in broken.items()])
            assert (refused.runs_stored, refused.runs_rejected) == (0, 3)
        waiting = self.another(place).rejected()
        assert {r.source: backend.rejected_bytes(r) for r in waiting} == broken
        first, *others = waiting
        assert (first.pointer, first.bytes, first.position) == ("$", len(broken[first.source]), None)
        backend.take_rejected([first.rejected_id, "unknown"])
        backend.take_rejected([first.rejected_id])
        assert self.another(place).rejected() == others
        with pytest.raises(Vanished):
            backend.files.read(first.path)
        ingest.store_deliveries(backend, [Delivery(first.source, broken[first.source])])
        anew = self.another(place).rejected()
        assert {r.rejected_id for r in anew} == {r.rejected_id for r in waiting}
        assert {r.source: backend.rejected_bytes(r) for r in anew} == broken
        backend.take_rejected([r.rejected_id for r in anew])
        assert self.another(place).rejected() == []
        assert read(backend) == {}

    def test_what_was_refused_is_kept_with_what_was_stored(self, backend: Backend) -> None:
        lines = [json.dumps(document("a")), "{", json.dumps(document("b"))]
        raw = "\n".join(lines).encode()
        result = ingest.store_deliveries(backend, [Delivery("runs.ndjson", raw)])
        assert (result.runs_stored, result.runs_rejected) == (2, 1)
        check(backend, {i: stored(i) for i in "ab"})
        [rejected] = backend.rejected()
        assert (rejected.position, backend.rejected_bytes(rejected)) == (2, b"{")

    @pytest.mark.parametrize("shared", [True, False], ids=["one backend", "a backend each"])
    def test_writers_side_by_side(self, backend: Backend, place: Any, shared: bool) -> None:
        barrier = threading.Barrier(self.writers)

        def write(number: int) -> State:
            own = backend if shared else self.another(place)
            mine: State = {}
            barrier.wait()
            for n in range(4):
                ids = [f"w{number}-{n}", f"w{number}-moving"]
                day = DAYS[(number + n) % 6]
                append(own, [document(i, day, version=n) for i in ids])
                append(own, [document("everybody's", DAYS[0])])
                mine |= {i: stored(i, day, version=n) for i in ids}
            return mine

        with ThreadPoolExecutor(self.writers) as pool:
            wanted = {i: run for mine in pool.map(write, range(self.writers)) for i, run in mine.items()}
        wanted["everybody's"] = stored("everybody's", DAYS[0])
        check(backend, wanted)
        backend.maintain(NOW)
        check(self.another(place), wanted)

    def test_a_reader_never_sees_half_a_run(self, backend: Backend, place: Any) -> None:
        append(backend, [document("a", issues=50)])
        done = threading.Event()

        def keep_writing() -> None:
            own = self.another(place)
            try:
                for version in range(1, 16):
                    append(own, [document("a", DAYS[version % 3], version, issues=50 + version)])
            finally:
                done.set()

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(keep_writing)
            before = 0
            while not done.is_set():
                [run] = read(backend).values()  # which asserts that the run is whole
                assert run.version >= before
                before = run.version
            writing.result()
        check(backend, {"a": stored("a", DAYS[0], 15, issues=65)})


def append_copy(backend: Backend, run: dict[str, Any], at: datetime) -> Appended:
    """Store a run as a copy of what another storage has had since `at`."""
    chunk = kernel.build([Delivery("test.json", json.dumps(run).encode())])
    column = pa.array([at], pa.timestamp("us", "UTC"))
    return backend.append(chunk.runs.append_column("stored_at", column), chunk.issues)


def moments(backend: Backend) -> dict[str, datetime]:
    """Since when the storage has each run."""
    found = backend.reading(lambda c: rows(c, "SELECT validation_run_id, stored_at FROM runs"))
    return {row["validation_run_id"]: row["stored_at"] for row in found}


def delete(backend: Backend, **query: Any) -> dict[str, Any]:
    """What deleting what `query` selects answers."""
    return deletion.delete(Selected("any", backend), Query(**query), "a tester")


def fill(backend: Backend) -> State:
    """A storage in which everything has happened: several batches a day, changes, moves, deletions."""
    wanted: State = {}
    for n in range(4):
        ids = [f"r{n}-{m}" for m in range(6)]
        append(backend, [document(i, DAYS[m % 3], issues=m) for m, i in enumerate(ids)])
        wanted |= {i: stored(i, DAYS[m % 3], issues=m) for m, i in enumerate(ids)}
    append(backend, [document("r0-1", DAYS[1], version=1), document("r0-2", DAYS[0], version=1)])
    wanted |= {"r0-1": stored("r0-1", DAYS[1], version=1), "r0-2": stored("r0-2", DAYS[0], version=1)}
    append(backend, [document("alone", DAYS[4]), document("moved", DAYS[5])])
    append(backend, [document("moved", DAYS[4])])
    backend.delete(["r1-1", "r2-2"])
    append(backend, [document("r2-2", DAYS[2], version=5)])
    wanted |= {"alone": stored("alone", DAYS[4]), "moved": stored("moved", DAYS[4])}
    del wanted["r1-1"]
    return wanted | {"r2-2": stored("r2-2", DAYS[2], version=5)}


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    answer = connection.execute(query)
    names = [column[0] for column in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def clock(offset: timedelta) -> type[datetime]:
    """A `datetime` whose `now` is off by `offset`."""

    class Off(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + offset

    return Off
