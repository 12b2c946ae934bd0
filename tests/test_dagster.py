"""Dagster's view of the lake: what is defined, what a run reports, what a change sets off."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dagster as dg
import pyarrow.parquet as pq
import pytest

from assets import days, inbox, sources, summary
from assets.definitions import calendar, reports
from assets.definitions.batches import batches, inbox_asset
from assets.definitions.problems import problems
from assets.definitions.shell import place
from assets.definitions.summary import daily_summary
from assets.definitions.tables import compact_day, counts_agree, no_run_twice
from assets.definitions.trends import NAMES, trends
from assets.definitions.weekly_report import weekly_report
from assets.inbox import Asked, Inbox, Waiting
from assets.ingest import ingest
from assets.sources import RunFile
from assets.sql_access import views
from pipelines.definitions import defs
from pipelines.jobs import catch_up, maintenance
from pipelines.sensors import inbox_sensor
from resources.dagster_resources import LakeResource, ReportsResource
from resources.errors import ConfigError, StorageError
from resources.lake import Lake, layout

# Dagster reads a property of its own that it has deprecated, whenever an observable asset is loaded.
pytestmark = pytest.mark.filterwarnings("ignore:Property `OpDefinition.version` is deprecated")

DAY = date(2026, 1, 5)
OLD_DAY = date(2012, 2, 29)
BROKEN = Path(__file__).parent.parent / "examples/broken/severity-misspelt.json"


class World:
    """A lake, its inbox and a Dagster instance."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.inbox = folder / "inbox"
        self.inbox.mkdir()
        self.folder = folder / "lake"
        self.resource = LakeResource(storage=str(self.folder), inbox=str(self.inbox))
        self.reports = ReportsResource()
        self.lake = self.resource.open()

    def drop(self, run_id: str, day: date, severities: Sequence[str] = (), score: int = 50) -> Path:
        """Put a run file into the inbox."""
        path = self.inbox / f"{run_id}.json"
        path.write_text(json.dumps(run(run_id, day, severities, score)))
        return path

    def store(self, run_id: str, day: date, severities: Sequence[str] = ()) -> None:
        """Store a run as somebody does who has never heard of Dagster."""
        path = self.inbox / f"{run_id}.json"
        path.write_text(json.dumps(run(run_id, day, severities, 50)))
        ingest(self.lake, sources.find([str(path)]))
        path.unlink()

    def materialize(self, assets: Sequence[Any], day: date | None = None, **options: Any) -> Any:
        return dg.materialize(
            assets,
            instance=self.instance,
            resources={"lake": options.pop("resource", self.resource), "reports": self.reports},
            partition_key=day.isoformat() if day else None,
            raise_on_error=options.pop("raise_on_error", True),
            **options,
        )

    def ingest(self, **options: Any) -> Any:
        return self.materialize([batches, inbox_asset], selection=[batches], **options)

    def execute(self, job: dg.JobDefinition) -> Any:
        return job.execute_in_process(instance=self.instance, resources={"lake": self.resource})

    def summary_files(self, day: date) -> list[Path]:
        return sorted((self.folder / f"daily_summary/run_date={day}").glob("*"))

    def reported(self, table: str) -> dict[str, Any]:
        """The row count of the last materialisation of each partition."""
        wanted = dg.AssetRecordsFilter(dg.AssetKey(table))
        found = self.instance.fetch_materializations(wanted, limit=1000, ascending=True).records
        return {
            str(record.partition_key): record.asset_materialization.metadata[
                "dagster/partition_row_count"
            ].value
            for record in found
            if record.asset_materialization
        }

    def tamper(self, day: date) -> None:
        """Lose an issue of the day behind everybody's back."""
        [path] = (self.folder / f"issues/run_date={day}").glob("*.parquet")
        pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)


def run(run_id: str, day: date, severities: Sequence[str], score: int) -> dict[str, Any]:
    return {
        "validation_run_id": run_id,
        "timestamp": f"{day}T10:00:00Z",
        "target_plugin": "demo",
        "pipeline_score": score,
        "issues_list": [{"severity": s, "description": f"{s} {n}"} for n, s in enumerate(severities)],
    }


def check_named(result: Any, name: str) -> Any:
    [found] = [e for e in result.get_asset_check_evaluations() if e.check_name == name]
    return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        yield World(tmp_path, instance)


def test_the_definitions_load_and_hold_exactly_this() -> None:
    repository = defs.get_repository_def()
    assert {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()} == {
        "inbox",
        "batches",
        "runs",
        "issues",
        "daily_summary",
        "storage/local_file",
        "problems",
        "daily_trend",
        "weekly_trend",
        "monthly_trend",
        "weekly_report",
    }
    assert {
        f"{key.asset_key.to_user_string()}:{key.name}"
        + (" (blocking)" if repository.asset_graph.get(key).blocking else "")
        for key in repository.asset_graph.asset_check_keys
    } == {
        "batches:rejected_share",
        "issues:counts_agree (blocking)",
        "runs:no_run_twice",
        "storage/local_file:healthy",
    }
    jobs = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert jobs == {"ingest_inbox", "catch_up", "maintenance", "reconcile_storages", "report_week"}
    assert {(s.name, s.cron_schedule, s.default_status.value) for s in repository.schedule_defs} == {
        ("hourly_catch_up", "5 * * * *", "RUNNING"),
        ("nightly_maintenance", "30 2 * * *", "RUNNING"),
        ("weekly_report", "0 5 * * 1", "RUNNING"),
    }
    assert {(s.name, s.minimum_interval_seconds, s.default_status.value) for s in repository.sensor_defs} == {
        ("inbox_sensor", 10, "RUNNING"),
        ("automation", 5, "RUNNING"),
        ("storage_health", 30, "RUNNING"),
        ("failures", 30, "RUNNING"),
        ("rejects", 30, "RUNNING"),
        ("findings", 60, "RUNNING"),
    }
    assert {
        (node.key.to_user_string(), *sorted(key.to_user_string() for key in node.parent_keys))
        for node in repository.asset_graph.asset_nodes
    } == {
        ("inbox",),
        ("batches", "inbox"),
        ("runs", "batches"),
        ("issues", "batches"),
        ("daily_summary", "issues", "runs"),
        ("storage/local_file",),
        ("problems", "issues", "runs"),
        ("daily_trend", "daily_summary", "problems"),
        ("weekly_trend", "daily_summary", "problems"),
        ("monthly_trend", "daily_summary", "problems"),
        ("weekly_report", "problems", "weekly_trend"),
    }


def test_pools_retries_and_freshness_stand_beside_the_assets() -> None:
    assert batches.op.pool == "ingest"
    assert compact_day.op.pool == "compaction"
    assert problems.op.pool == "problems"
    assert trends.op.pool == "trends"
    assert weekly_report.op.pool == "reports"
    for shell in (batches, compact_day, daily_summary, problems, trends, weekly_report):
        assert shell.op.retry_policy is not None
    for shell in (batches, daily_summary, problems, trends, weekly_report):
        for spec in shell.specs:
            assert spec.freshness_policy is not None


def test_there_are_days_from_a_first_one_to_today() -> None:
    known = calendar.DAYS.get_partition_keys()
    assert known[0] == calendar.DEFAULT_FIRST_DAY
    assert known[-1] == datetime.now(UTC).date().isoformat()
    assert len(known) < calendar.MAX_DAYS
    for wrong in ("last week", "1066-10-14"):
        with pytest.raises(ConfigError):
            calendar.days_from(wrong)


def test_an_ingest_stores_what_is_good_keeps_what_is_broken_and_tells_the_days(world: World) -> None:
    world.drop("a", DAY, ["critical", "low"])
    world.drop("b", OLD_DAY, ["high"])
    shutil.copy(BROKEN, world.inbox)
    result = world.ingest()
    [event] = result.asset_materializations_for_node("batches")[-1:]
    told = {name: value.value for name, value in event.metadata.items()}
    assert (told["files"], told["runs_stored"], told["rejected"], told["issues"]) == (3, 2, 1, 3)
    assert told["bytes"] > 0
    assert told["files_removed"] == 3
    assert told["days_without_partition"] == []
    assert "█" in told["picture"]
    assert world.reported("runs") == {str(OLD_DAY): 1, str(DAY): 1}
    assert world.reported("issues") == {str(OLD_DAY): 1, str(DAY): 2}
    assert check_named(result, "counts_agree").passed
    assert check_named(result, "no_run_twice").passed
    assert list(world.inbox.iterdir()) == []
    [rejected] = world.lake.rejected()
    assert world.lake.rejected_bytes(rejected) == BROKEN.read_bytes()


def test_runs_outside_of_the_calendar_are_stored_and_read_and_break_nothing(world: World) -> None:
    before, after = date(1999, 12, 31), datetime.now(UTC).date() + timedelta(days=400)
    world.drop("before", before, ["low"])
    world.drop("after", after)
    world.drop("now", DAY)
    result = world.ingest()
    [event] = result.asset_materializations_for_node("batches")[-1:]
    assert event.metadata["days_without_partition"].value == [str(before), str(after)]
    assert world.reported("runs") == {str(DAY): 1}
    with views(world.lake) as connection:
        rows = connection.execute("SELECT run_date, total_issues FROM daily_summary").fetchall()
    assert rows == [(before, 1), (DAY, 0), (after, 0)]
    assert summary.summarise(world.lake, before).table.num_rows == 1


@pytest.mark.parametrize(
    ("good", "warn_above", "fail_above", "outcome"),
    [
        (9, 0.2, 0.5, "passed"),
        (3, 0.2, 0.5, "WARN"),
        (0, 0.2, 0.5, "ERROR"),
        (9, 0.0, 0.2, "WARN"),
    ],
)
def test_the_share_of_rejected_runs_warns_and_then_fails(
    world: World, good: int, warn_above: float, fail_above: float, outcome: str
) -> None:
    for n in range(good):
        world.drop(f"run-{n}", DAY)
    shutil.copy(BROKEN, world.inbox)
    resource = LakeResource(
        storage=str(world.folder),
        inbox=str(world.inbox),
        rejected_warn_above=warn_above,
        rejected_fail_above=fail_above,
    )
    found = check_named(world.ingest(resource=resource), "rejected_share")
    assert ("passed" if found.passed else found.severity.value) == outcome
    assert "severity" in found.metadata["rejections"].value[0]


def test_a_day_is_summarised_by_plugin(world: World) -> None:
    world.drop("a", DAY, ["critical", "low"], score=40)
    world.drop("b", DAY, [], score=90)
    world.ingest()
    result = world.materialize([compact_day, daily_summary], DAY, selection=[daily_summary])
    [event] = result.asset_materializations_for_node("daily_summary")
    told = {name: value.value for name, value in event.metadata.items()}
    assert (told["dagster/partition_row_count"], told["runs"], told["total_issues"]) == (1, 2, 2)
    assert "| demo | 2 | 1 | 0 | 0 | 1 | 65.0 |" in told["picture"]
    [path] = world.summary_files(DAY)
    [row] = pq.read_table(path, partitioning=None).to_pylist()
    assert row == {
        "target_plugin": "demo",
        "runs": 2,
        "clean_runs": 1,
        "total_issues": 2,
        "critical_issues": 1,
        "high_issues": 0,
        "medium_issues": 0,
        "low_issues": 1,
        "scored_runs": 2,
        "average_score": 65.0,
        "lowest_score": 40,
        "latest_run": datetime(2026, 1, 5, 10, tzinfo=UTC),
    }


def test_a_summary_replaces_the_older_one_and_stays_when_nothing_changed(world: World) -> None:
    world.store("a", DAY, ["low"])
    first = summary.summarise(world.lake, DAY)
    assert summary.outdated(world.lake) == []
    assert summary.summarise(world.lake, DAY).path == first.path
    world.lake.compact_day(DAY, timedelta(0))
    assert summary.outdated(world.lake) == []

    world.store("b", DAY)
    world.store("c", OLD_DAY)
    assert summary.outdated(world.lake) == [OLD_DAY, DAY]
    second = summary.summarise(world.lake, DAY)
    assert [path.stem for path in world.summary_files(DAY)] == [Path(str(second.path)).stem]
    assert second.path != first.path

    world.lake.delete(["a", "b"])
    assert DAY in summary.outdated(world.lake)
    assert summary.summarise(world.lake, DAY).path is None
    assert world.summary_files(DAY) == []
    assert summary.outdated(world.lake) == [OLD_DAY]


def test_counts_that_disagree_block_the_summary(world: World) -> None:
    world.drop("a", DAY, ["critical", "low"])
    world.ingest()
    world.tamper(DAY)
    # New rows, so that compaction reports them and the summary would be next.
    world.store("b", DAY)
    everything = [compact_day, counts_agree, no_run_twice, daily_summary]
    result = world.materialize(everything, DAY, raise_on_error=False)
    check = check_named(result, "counts_agree")
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert "a: the run counts 1/0/0/1, its issues are 0/0/0/1" in check.description
    assert not result.success
    assert result.asset_materializations_for_node("daily_summary") == []
    assert world.summary_files(DAY) == []


def test_a_summary_asked_for_by_itself_refuses_counts_that_disagree(world: World) -> None:
    world.drop("a", DAY, ["critical", "low"])
    world.ingest()
    before = summary.summarise(world.lake, DAY).path
    world.tamper(DAY)
    world.store("b", DAY)
    result = world.materialize(
        [compact_day, daily_summary], DAY, selection=[daily_summary], raise_on_error=False
    )
    assert not result.success
    assert result.retry_attempts_for_node("daily_summary") == 0
    failure = result.failure_data_for_node("daily_summary")
    assert "2026-01-05 is not summarised: 1 runs count other issues" in failure.error.message
    assert [path.name for path in world.summary_files(DAY)] == [Path(str(before)).name]


def test_a_compaction_that_changes_no_row_is_no_materialisation(world: World) -> None:
    world.drop("a", DAY, ["low"])
    world.ingest()
    world.drop("b", DAY)
    world.ingest()
    result = world.materialize([compact_day], DAY)
    assert result.asset_materializations_for_node("compact_day") == []
    observed = [e.asset_observation_data.asset_observation for e in result.get_asset_observation_events()]
    assert [(o.asset_key.to_user_string(), o.metadata["compacted"].value) for o in observed] == [
        ("runs", True),
        ("issues", True),
    ]
    world.store("c", DAY)
    result = world.materialize([compact_day], DAY)
    told = {
        e.asset_key.to_user_string(): e.metadata
        for e in result.asset_materializations_for_node("compact_day")
    }
    assert told["runs"]["dagster/partition_row_count"].value == 3
    assert told["issues"]["dagster/partition_row_count"].value == 1
    assert told["runs"]["bytes"].value > 0
    assert told["runs"]["compacted"].value is True


def test_a_change_asks_for_the_summary_of_exactly_its_days(world: World) -> None:
    def asked_for(cursor: Any = None) -> tuple[set[str], Any]:
        result = dg.evaluate_automation_conditions(
            defs, world.instance, dg.AssetSelection.assets(daily_summary), cursor=cursor
        )
        partitions = result.get_requested_partitions(daily_summary.key)
        return {str(partition) for partition in partitions}, result.cursor

    asked, cursor = asked_for()
    assert asked == set()

    world.drop("a", DAY)
    world.drop("b", OLD_DAY)
    world.ingest()
    asked, cursor = asked_for(cursor)
    assert asked == {str(DAY), str(OLD_DAY)}

    # Before the next look the day changes again: the run asked for may have read it before.
    world.drop("c", DAY)
    world.ingest()
    asked, cursor = asked_for(cursor)
    assert asked == {str(DAY)}
    asked, cursor = asked_for(cursor)
    assert asked == set()

    # The same files again are duplicates, and compacting changes no row.
    world.drop("a", DAY)
    world.ingest()
    world.materialize([compact_day], DAY)
    asked, cursor = asked_for(cursor)
    assert asked == set()

    world.store("d", OLD_DAY)
    world.execute(catch_up)
    asked, cursor = asked_for(cursor)
    assert asked >= {str(OLD_DAY)}


def test_a_change_of_any_day_brings_the_problems_up_to_date(world: World) -> None:
    def asked_for(cursor: Any = None) -> tuple[int, Any]:
        selection = dg.AssetSelection.assets(problems)
        result = dg.evaluate_automation_conditions(defs, world.instance, selection, cursor=cursor)
        return result.total_requested, result.cursor

    asked, cursor = asked_for()
    assert asked == 0
    world.drop("a", DAY, ["high", "low"])
    world.ingest()
    asked, cursor = asked_for(cursor)
    assert asked == 1
    asked, cursor = asked_for(cursor)
    assert asked == 0
    world.drop("b", DAY + timedelta(days=1), ["high"])
    world.drop("c", OLD_DAY, ["critical"])
    world.ingest()
    assert asked_for(cursor)[0] == 1

    result = world.materialize([compact_day, problems], selection=[problems])
    [event] = result.asset_materializations_for_node("problems")
    metadata = {name: value.value for name, value in event.metadata.items()}
    assert (metadata["open"], metadata["fixed"], metadata["dagster/row_count"]) == (1, 2, 3)
    assert (metadata["days"], metadata["first_day"]) == (3, str(OLD_DAY))
    assert "█" in metadata["picture"]
    assert "| fixed | 1 | 0 | 0 | 1 |" in metadata["severities"]
    again = world.materialize([compact_day, problems], selection=[problems])
    [event] = again.asset_materializations_for_node("problems")
    assert event.metadata["days"].value == 0


def test_the_trends_follow_once_all_is_done(world: World) -> None:
    def asked_for(cursor: Any = None) -> tuple[set[str], Any]:
        selection = dg.AssetSelection.assets(*NAMES.values())
        result = dg.evaluate_automation_conditions(defs, world.instance, selection, cursor=cursor)
        return {
            key.to_user_string() for key in map(dg.AssetKey, NAMES.values()) if result.get_num_requested(key)
        }, result.cursor

    asked, cursor = asked_for()
    assert asked == set()
    world.drop("a", DAY, ["high", "low"])
    world.drop("b", DAY + timedelta(days=1), ["high"], score=70)
    world.ingest()
    assert asked_for(cursor)[0] == set()  # not before the problems are up to date
    world.materialize([compact_day, problems], selection=[problems])
    asked, cursor = asked_for(cursor)
    assert asked == set(NAMES.values())
    asked, cursor = asked_for(cursor)
    assert asked == set()

    result = world.materialize([compact_day, daily_summary, problems, trends], selection=[trends])
    told = {
        e.asset_key.to_user_string(): e.metadata for e in result.asset_materializations_for_node("trends")
    }
    assert set(told) == set(NAMES.values())
    daily = {name: value.value for name, value in told["daily_trend"].items()}
    assert (daily["periods"], daily["plugins"], daily["dagster/row_count"]) == (2, 1, 4)
    assert (daily["new"], daily["fixed"], daily["open"]) == (0, 1, 1)
    assert f"| {DAY} | 1 | 2 | 50.0 | 2 | 0 | 0 | 2 |" in daily["newest"]
    drawn = re.fullmatch(
        r"!\[open problems by day: 2, 1\]\(data:image/svg\+xml;base64,(.+)\)", daily["picture"]
    )
    assert drawn
    picture = ElementTree.fromstring(base64.b64decode(drawn[1]))
    bars = picture.findall("{http://www.w3.org/2000/svg}rect")
    assert [bar.get("fill") for bar in bars] == ["#e45756", "#54a24b"]  # two came, one was fixed
    texts = ["".join(text.itertext()) for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["open, at most 2", "1", "+0 came", "−1 fixed", str(DAY), str(DAY + timedelta(days=1))]
    assert isinstance(told["daily_trend"]["path"], dg.PathMetadataValue)
    assert told["monthly_trend"]["periods"].value == 1
    path = Path(daily["path"])
    assert pq.read_table(path).num_rows == 4
    world.materialize([compact_day, daily_summary, problems, trends], selection=[trends])
    assert list(path.parent.iterdir()) == [path]


def test_the_weekly_report_is_published_where_it_is_to_be(world: World) -> None:
    world.drop("a", DAY, ["high", "low"])
    world.drop("b", DAY + timedelta(days=1), ["high"], score=70)
    world.ingest()
    shells = [compact_day, daily_summary, problems, trends, weekly_report]
    result = world.materialize(shells, selection=[weekly_report])
    [event] = result.asset_materializations_for_node("weekly_report")
    told = {name: value.value for name, value in event.metadata.items()}
    today = datetime.now(UTC).date()
    sunday = today - timedelta(days=today.isoweekday())
    assert (told["runs"], told["open"], told["last_day"]) == (0, 1, str(sunday))
    assert "| Open problems | 1 |" in told["picture"]
    page = (world.folder / told["path"]).read_bytes()
    assert (len(page), hashlib.sha256(page).hexdigest()) == (told["bytes"], told["sha256"])
    world.reports = ReportsResource(to=str(world.folder.parent / "published"))
    world.materialize(shells, selection=[weekly_report])
    [published] = (world.folder.parent / "published").glob("*.html")
    assert published.read_bytes() == page


def test_a_file_of_a_remote_storage_is_a_link() -> None:
    assert place("s3://bucket/lake/", "trends/x.parquet") == dg.MetadataValue.url(
        "s3://bucket/lake/trends/x.parquet"
    )


def test_many_days_at_once_are_summarised_by_the_ingest_itself(world: World) -> None:
    many = [OLD_DAY + timedelta(days=30 * n) for n in range(reports.FEW_DAYS + 1)]
    result = dg.evaluate_automation_conditions(defs, world.instance, dg.AssetSelection.assets(daily_summary))
    for day in many:
        world.drop(f"of-{day}", day, ["low"])
    world.ingest()
    assert world.reported("daily_summary") == {str(day): 1 for day in many}
    assert summary.outdated(world.lake) == []
    result = dg.evaluate_automation_conditions(
        defs, world.instance, dg.AssetSelection.assets(daily_summary), cursor=result.cursor
    )
    assert result.total_requested == 0
    world.drop("later", many[3])
    world.ingest()
    result = dg.evaluate_automation_conditions(
        defs, world.instance, dg.AssetSelection.assets(daily_summary), cursor=result.cursor
    )
    assert result.get_requested_partitions(daily_summary.key) == {str(many[3])}


def test_catching_up_finds_what_was_stored_and_deleted_elsewhere(world: World) -> None:
    world.store("a", DAY, ["low"])
    world.store("b", OLD_DAY)
    world.execute(catch_up)
    assert world.reported("issues") == {str(OLD_DAY): 0, str(DAY): 1}
    for day in (DAY, OLD_DAY):
        world.materialize([compact_day, daily_summary], day, selection=[daily_summary])
    result = world.execute(catch_up)
    assert not [e for e in result.all_events if e.is_step_materialization]

    world.lake.delete(["a"])
    world.execute(catch_up)
    assert world.reported("runs") == {str(OLD_DAY): 1, str(DAY): 0}
    world.materialize([compact_day, daily_summary], DAY, selection=[daily_summary])
    assert world.summary_files(DAY) == []
    assert summary.outdated(world.lake) == []


def test_the_nightly_maintenance_compacts_and_checks_everything(world: World) -> None:
    for n in range(3):
        world.store(f"run-{n}", DAY, ["low"])
    world.store("old", OLD_DAY)
    result = world.execute(maintenance)
    evaluations = result.get_asset_check_evaluations()
    assert {(e.check_name, e.passed) for e in evaluations} == {("counts_agree", True), ("no_run_twice", True)}
    names = [f.name for f in layout.data_files(world.lake.files, [DAY])]
    assert len(names) == 4  # the three go after the grace period
    assert days.versions(world.lake, [DAY])[0].runs == 3


def test_the_nightly_maintenance_retires_what_the_policy_does_not_keep(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        world.store(f"run-{n}", DAY, ["low"] * n)
    world.store("newest", datetime.now(UTC).date(), ["high"])
    world.execute(catch_up)
    world.materialize([compact_day, daily_summary], DAY, selection=[daily_summary])
    before = world.summary_files(DAY)
    (tmp_path / "retention.yaml").write_text("keep_days: {by_severity: {low: 3, clean: 36500}}")
    monkeypatch.setenv("ISSUELAKE_RETENTION", str(tmp_path / "retention.yaml"))
    result = world.execute(maintenance)
    [output] = [e for e in result.all_events if e.is_successful_output and e.step_key == "retire_runs"]
    said = {name: value.value for name, value in output.step_output_data.metadata.items()}
    assert (said["runs_retired"], said["issues_retired"], said["problems"]) == (2, 3, 0)
    assert said["by_rule"] == {"keep_days.by_severity.low = 3": 2}
    assert said["by_backend"] == {"local_file": 2}
    assert "run-2" in said["newest"]
    assert world.reported("runs")[str(DAY)] == 1
    assert days.versions(world.lake, [DAY])[0].runs == 1
    # Only the runs went; what is summed up of the day is what it was.
    assert days.disagreements(world.lake, [DAY]) == []
    world.materialize([compact_day, daily_summary], DAY, selection=[daily_summary])
    assert world.summary_files(DAY) == before


def test_a_check_by_itself_is_about_the_whole_lake(world: World) -> None:
    world.store("a", DAY, ["low"])
    world.store("b", OLD_DAY, ["low"])
    world.tamper(OLD_DAY)
    result = world.materialize(
        [compact_day, counts_agree, no_run_twice],
        selection=dg.AssetSelection.checks(counts_agree, no_run_twice),
        raise_on_error=False,
    )
    assert check_named(result, "no_run_twice").passed
    found = check_named(result, "counts_agree")
    assert not found.passed
    assert found.metadata["days"].value == 2
    assert found.metadata["examples"].value[0].startswith("2012-02-29 b:")


def test_a_run_that_counts_on_two_days_is_found(world: World) -> None:
    world.store("moved", OLD_DAY)
    world.store("moved", DAY)
    assert days.counted_twice(world.lake, [OLD_DAY, DAY]) == []
    shutil.rmtree(world.folder / "replaced")  # as if the writer had been killed just before
    found = days.counted_twice(Lake(world.lake.files), [OLD_DAY, DAY])
    assert [(f.day, f.alone, f.in_whole) for f in found] == [(OLD_DAY, 1, 0)]


class TestInbox:
    def files(self, *sizes: int, age: float = 60) -> Waiting:
        moment = self.now - timedelta(seconds=age)
        return Waiting([RunFile(f"{n}.json", size, moment.timestamp()) for n, size in enumerate(sizes)])

    now = datetime(2026, 1, 1, tzinfo=UTC)

    def test_a_state_is_asked_for_once_and_again_later_when_it_stays(self) -> None:
        asked = inbox.ask(self.files(1), None, self.now)
        assert asked is not None
        assert Asked.from_cursor(asked.cursor) == asked
        soon = self.now + timedelta(seconds=59)
        assert inbox.ask(self.files(1), asked, soon) is None
        later = self.now + timedelta(seconds=61)
        again = inbox.ask(self.files(1), asked, later)
        assert again is not None
        assert again.key != asked.key
        assert inbox.ask(self.files(1), again, later + timedelta(seconds=61)) is None
        assert inbox.ask(self.files(1), again, later + timedelta(seconds=121)) is not None
        for _ in range(100):
            later += timedelta(hours=2)
            again = inbox.ask(self.files(1), again, later)
            assert again is not None

    def test_another_state_is_asked_for_at_once(self) -> None:
        asked = inbox.ask(self.files(1), None, self.now)
        for other in (self.files(2), self.files(1, 1), self.files(1, age=30)):
            found = inbox.ask(other, asked, self.now)
            assert found is not None
            assert asked is not None
            assert found.key != asked.key
        assert inbox.ask(self.files(), asked, self.now) is None

    def test_the_same_state_on_another_day_has_another_key(self) -> None:
        first = inbox.ask(self.files(1), None, self.now)
        second = inbox.ask(self.files(1), None, self.now + timedelta(days=1))
        assert first is not None
        assert second is not None
        assert first.key != second.key

    def test_files_that_are_written_to_are_left_to_settle(self) -> None:
        assert inbox.settled(self.files(1, age=1), self.now).files == []
        assert len(inbox.settled(self.files(1, age=5), self.now).files) == 1
        assert len(inbox.settled(self.files(1, age=-3600), self.now).files) == 1

    def test_a_folder_that_is_not_there_is_made_and_empty(self, tmp_path: Path) -> None:
        files = inbox.waiting(Inbox(str(tmp_path / "in" / "box")))
        assert (files.files, files.bytes, files.oldest) == ([], 0, None)
        assert (tmp_path / "in" / "box").is_dir()

    def test_a_file_that_changed_meanwhile_stays_and_is_ingested_again(self, world: World) -> None:
        path = world.drop("a", DAY, ["low"])
        world.drop("b", DAY)

        def write_again(_: Any) -> None:
            path.write_text(json.dumps(run("a", DAY, ["low", "high"], 1)))

        taken = inbox.take_in(Inbox(str(world.inbox)), partial(ingest, world.lake), write_again)
        assert (taken.removed, taken.kept) == (1, [str(path)])
        taken = inbox.take_in(Inbox(str(world.inbox)), partial(ingest, world.lake))
        assert taken.ingested.runs_stored == 1
        assert list(world.inbox.iterdir()) == []
        assert [(v.runs, v.issues) for v in days.versions(world.lake, [DAY])] == [(2, 2)]

    def test_nothing_leaves_the_inbox_when_the_lake_cannot_be_written(self, world: World) -> None:
        world.drop("a", DAY)
        shutil.copy(BROKEN, world.inbox)
        world.folder.write_text("not a folder")
        with pytest.raises(StorageError):
            inbox.take_in(Inbox(str(world.inbox)), partial(ingest, world.lake))
        assert len(list(world.inbox.iterdir())) == 2

    def test_nothing_leaves_the_inbox_when_reporting_fails_and_the_next_time_all_is_well(
        self, world: World
    ) -> None:
        world.drop("a", DAY)

        def fail(_: Any) -> None:
            raise RuntimeError

        with pytest.raises(RuntimeError):
            inbox.take_in(Inbox(str(world.inbox)), partial(ingest, world.lake), fail)
        assert len(list(world.inbox.iterdir())) == 1
        taken = inbox.take_in(Inbox(str(world.inbox)), partial(ingest, world.lake))
        assert (taken.ingested.duplicates, taken.removed) == (1, 1)
        # The days are not reported this time; catching up is what finds them.
        assert summary.outdated(world.lake) == [DAY]

    def test_an_inbox_may_be_anywhere(self, world: World) -> None:
        import fsspec

        memory = fsspec.filesystem("memory")
        memory.pipe("/dropped/here/a.json", json.dumps(run("a", DAY, ["low"], 1)).encode())
        there = Inbox("memory://dropped/here")
        assert len(inbox.waiting(there).files) == 1
        taken = inbox.take_in(there, partial(ingest, world.lake))
        assert (taken.ingested.runs_stored, taken.removed) == (1, 1)
        assert inbox.waiting(there).files == []


class TestInboxSensor:
    def look(self, world: World, cursor: str | None = None) -> Any:
        with dg.build_sensor_context(instance=world.instance, cursor=cursor) as context:
            return inbox_sensor(context, lake=world.resource)

    def test_it_asks_once_for_what_is_waiting_and_observes_it(self, world: World) -> None:
        assert "Nothing" in self.look(world).skip_reason.skip_message
        path = world.drop("a", DAY)
        assert "Nothing" in self.look(world).skip_reason.skip_message  # it was written to just now
        os.utime(path, (1, 1))
        asked = self.look(world)
        assert len(asked.run_requests) == 1
        assert asked.asset_events[0].metadata["files"].value == 1
        assert "asked for" in self.look(world, asked.cursor).skip_reason.skip_message

    def test_it_waits_for_an_ingest_that_is_under_way(self, world: World) -> None:
        os.utime(world.drop("a", DAY), (1, 1))
        world.instance.create_run_for_job(
            defs.resolve_job_def("ingest_inbox"), status=dg.DagsterRunStatus.STARTED
        )
        assert "under way" in self.look(world).skip_reason.skip_message


def test_what_no_retry_mends_fails_at_once_with_its_sentence(world: World) -> None:
    resource = LakeResource(storage="nosuch://place", inbox=str(world.inbox))
    result = world.ingest(resource=resource, raise_on_error=False)
    assert not result.success
    assert result.retry_attempts_for_node("batches") == 0
    assert "nosuch:// is not a known storage" in result.failure_data_for_node("batches").error.message


def test_the_resource_takes_options_as_json_and_shows_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = LakeResource(storage="memory://lake", storage_options='{"listings_expiry_time": 1}').open()
    assert opened.url == "memory://lake"
    with pytest.raises(ConfigError) as caught:
        LakeResource(storage="memory://lake", storage_options='{"key": hunter2').open()
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigError):
        LakeResource(storage="memory://lake", storage_options="[]").open()
    monkeypatch.chdir(tmp_path)
    assert LakeResource().open().url == str(tmp_path / "lake")
