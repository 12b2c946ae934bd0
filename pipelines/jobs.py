"""What runs as one: the ingest of the inbox, catching up with the days, the nightly upkeep."""

import time

from dagster import DagsterRunStatus, OpExecutionContext, RunsFilter, define_asset_job, job, op

from assets.definitions import reports
from assets.definitions.batches import batches
from assets.definitions.calendar import with_partition
from assets.definitions.shell import RETRIES, no_retry_for_mistakes
from assets.definitions.weekly_report import weekly_report
from assets.summary import outdated
from pipelines.opening import kept_open
from resources.dagster_resources import LakeResource
from resources.lake.compact import Compacted
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
    "report_week", selection=[weekly_report], description="Makes and publishes the report of the newest week."
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


@op(pool="compaction", retry_policy=RETRIES)
def maintain_lake(context: OpExecutionContext, lake: LakeResource) -> None:
    """Compacts every day, then checks the whole lake."""
    started = time.monotonic()

    def tell(done: Compacted) -> None:
        if done.written:
            context.log.info(f"{done.day}: {done.files_before} files, {done.runs} runs, {done.issues} issues")

    with no_retry_for_mistakes():
        opened = lake.open()
        maintained = opened.maintain(on_day=tell)
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


@job(description="Compacts every day, completes the index, and checks the whole lake.")
def maintenance() -> None:
    maintain_lake()
