"""What runs as one: the ingest of the inbox, catching up with the days, the nightly upkeep."""

import time
from collections import Counter

from dagster import (
    DagsterRunStatus,
    In,
    MetadataValue,
    Nothing,
    OpExecutionContext,
    Out,
    RunsFilter,
    define_asset_job,
    job,
    op,
)

from assets.definitions import reports
from assets.definitions.batches import batches
from assets.definitions.calendar import with_partition
from assets.definitions.launching import launch
from assets.definitions.shell import RETRIES, no_retry_for_mistakes
from assets.definitions.shell import table as picture
from assets.definitions.weekly_report import weekly_report
from assets.launched import Work
from assets.retention.rounds import retain
from assets.retention.rules import configured_policy
from assets.summary import outdated
from assets.upkeep import maintain
from pipelines.opening import kept_open
from resources.dagster_resources import LakeResource
from resources.lake.compact import Compacted
from resources.lake.maintain import Maintained
from resources.selection.reconcile import Reconciled, reconcile

UNFINISHED = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]
PARTITION_TAG = "dagster/partition"

ingest_inbox = define_asset_job(
    "ingest_inbox", selection=[batches], description="Ingests the run files that wait in the inbox."
)

report_week = define_asset_job(
    "report_week", selection=[weekly_report], description="Makes and publishes the report of the last week."
)


@op(retry_policy=RETRIES)
def report_changed_days(context: OpExecutionContext, lake: LakeResource) -> None:
    """Reports the days whose rows are not those of their summary, which sets their summaries off.

    Not the days that a run is at, or waits to be at: they were reported already.
    """
    unfinished = context.instance.get_runs(RunsFilter(statuses=UNFINISHED))
    under_way = {run.tags.get(PARTITION_TAG) for run in unfinished}
    with no_retry_for_mistakes():
        opened = lake.open()
        days = [day for day in with_partition(outdated(opened)) if day.isoformat() not in under_way]
        reports.tell(context, reports.changed_days(opened, days))
    context.add_output_metadata({"days": len(days), "first_days": [str(day) for day in days[:20]]})


@job(description="Finds what was stored, moved or deleted outside of Dagster, or what a failed run left.")
def catch_up() -> None:
    report_changed_days()


@op(pool="compaction", retry_policy=RETRIES, out=Out(Nothing))
def retire_runs(context: OpExecutionContext, lake: LakeResource) -> None:
    """Lets go what neither the policy of ISSUELAKE_RETENTION nor `max_history` keeps: docs/retention.md.

    In every backend in use. Problems, trends and daily summaries stay as they are.
    """
    started = time.monotonic()
    with no_retry_for_mistakes():
        done = retain(kept_open(lake.backends()), configured_policy())
        going = [run for one in done if one.problem is None for run in one.leaving]
        # What is shown of the days is about the backend that is preferred.
        changed = sorted({run.timestamp.date() for run in done[0].leaving if done[0].problem is None})
        reports.tell(context, reports.changed_days(lake.open(), changed))
    context.add_output_metadata(
        {
            "runs_retired": len(going),
            "issues_retired": sum(run.issues for run in going),
            "problems": sum(one.problem is not None for one in done),
            "by_rule": MetadataValue.json(dict(Counter(run.rule for run in going))),
            "by_backend": MetadataValue.json({one.backend: len(one.leaving) for one in done}),
            "newest": picture(
                ("run", "plugin", "timestamp", "issues", "rule"),
                [
                    (r.validation_run_id, r.target_plugin, r.timestamp.isoformat(), r.issues, r.rule)
                    for r in reversed(going)
                ],
            ),
            "seconds": round(time.monotonic() - started, 3),
        }
    )
    for one in done:
        if one.problem is not None:
            context.log.warning(one.problem)


@op(pool="compaction", retry_policy=RETRIES, ins={"retired": In(Nothing)})
def maintain_lake(context: OpExecutionContext, lake: LakeResource) -> None:
    """Compacts every day, then checks the whole lake."""
    started = time.monotonic()

    def tell(done: Compacted) -> None:
        if done.written:
            context.log.info(f"{done.day}: {done.files_before} files, {done.runs} runs, {done.issues} issues")

    with no_retry_for_mistakes():
        opened = lake.open()
        if lake.is_launched:
            maintained = launch(context, lake, Work.MAINTAIN, Maintained)
        else:
            with lake.workers(opened) as engine:
                maintained = maintain(engine, opened, on_day=tell)
        context.add_output_metadata(
            {
                "days": len(maintained.days),
                "days_compacted": sum(done.written for done in maintained.days),
                "files_before": sum(done.files_before for done in maintained.days),
                "files_after": sum(done.files_after for done in maintained.days),
                "rows": sum(done.runs + done.issues for done in maintained.days),
                "hints_added": maintained.hints_added,
                "seconds": round(time.monotonic() - started, 3),
            }
        )
        reports.tell(context, reports.evaluations(opened, opened.days()))


@op(pool="reconcile", retry_policy=RETRIES)
def pay_what_is_owed(context: OpExecutionContext, lake: LakeResource) -> None:
    """Copies what backends hold for others that are well again, verified, and strikes it off."""
    started = time.monotonic()
    with no_retry_for_mistakes():
        chain = kept_open(lake.backends()).chain
        done = reconcile(chain) if chain else Reconciled()
    for problem in done.problems:
        context.log.warning(problem)
    context.add_output_metadata(
        {
            "entries_settled": done.struck,
            "entries_left": done.left,
            "runs_copied": done.runs_copied,
            "runs_deleted": done.runs_deleted,
            "seconds": round(time.monotonic() - started, 3),
        }
    )


@job(description="Copies what is owed to backends that are well again.")
def reconcile_storages() -> None:
    pay_what_is_owed()


@job(description="Lets go what retention does not keep, compacts every day, and checks the whole lake.")
def maintenance() -> None:
    maintain_lake(retire_runs())
