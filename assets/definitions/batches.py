"""The inbox, the ingest of what waits there, and the check of what was rejected."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    DataVersion,
    FreshnessPolicy,
    MaterializeResult,
    MetadataValue,
    ObserveResult,
    asset,
    observable_source_asset,
)

from assets.definitions import reports
from assets.definitions.calendar import with_partition
from assets.definitions.launching import launch
from assets.definitions.shell import RETRIES, bars, no_retry_for_mistakes
from assets.inbox import Inbox, Taken, Waiting, take_in, waiting
from assets.ingest import Ingested, ingest
from assets.launched import Work
from assets.sources import RunFile
from resources.dagster_resources import LakeResource

REJECTED_SHARE = "rejected_share"
FRESHNESS = FreshnessPolicy.time_window(warn_window=timedelta(days=2), fail_window=timedelta(days=8))
"""Validations run on working days at least, so two days are a weekend and eight are an outage."""


def inbox_of(lake: LakeResource) -> Inbox:
    """Where the resource says that the inbox is."""
    return Inbox(lake.inbox, lake.options_of_inbox)


def describe(files: Waiting) -> dict[str, MetadataValue]:
    """What is waiting, as metadata."""
    oldest = files.oldest
    return {
        "files": MetadataValue.int(len(files.files)),
        "bytes": MetadataValue.int(files.bytes),
        "oldest": MetadataValue.timestamp(oldest) if oldest else MetadataValue.null(),
    }


@observable_source_asset(
    name="inbox",
    group_name="issuelake",
    description="Run files that wait to be ingested.",
    tags={"kind": "files"},
)
def inbox_asset(lake: LakeResource) -> ObserveResult:
    with no_retry_for_mistakes():
        files = waiting(inbox_of(lake))
    return ObserveResult(metadata=describe(files), data_version=DataVersion(files.state))


@asset(
    deps=[inbox_asset],
    group_name="issuelake",
    kinds={"parquet", "duckdb"},
    pool="ingest",
    retry_policy=RETRIES,
    freshness_policy=FRESHNESS,
    check_specs=[
        AssetCheckSpec(
            REJECTED_SHARE, asset="batches", description="How many of the runs received break the contract?"
        )
    ],
)
def batches(context: AssetExecutionContext, lake: LakeResource) -> Iterator[MaterializeResult[None]]:
    """What the inbox delivered: stored runs and issues, rejects kept byte for byte.

    Reports every day that it touched as a materialisation of `runs` and `issues`.
    """
    with no_retry_for_mistakes():
        opened = lake.open()

        def report(done: Ingested) -> None:
            days = sorted(done.days)
            reports.tell(context.op_execution_context, reports.changed_days(opened, days))
            reports.tell(context.op_execution_context, reports.evaluations(opened, days))

        def ingesting(files: Sequence[RunFile]) -> Ingested:
            if lake.is_launched:
                return launch(context.op_execution_context, lake, Work.INGEST, Ingested, files)
            with lake.workers(opened) as engine:
                return ingest(opened, files, engine=engine)

        taken = take_in(inbox_of(lake), ingesting, report)
    yield MaterializeResult(
        metadata=_describe_taken(taken),
        check_results=[_rejected_share(taken.ingested, lake)],
    )


def _describe_taken(taken: Taken) -> dict[str, MetadataValue]:
    done = taken.ingested
    days = sorted(done.days)
    outside = sorted(set(days) - set(with_partition(days)))
    return {
        "files": MetadataValue.int(done.files),
        "bytes": MetadataValue.int(taken.bytes),
        "seconds": MetadataValue.float(done.seconds),
        "dagster/row_count": MetadataValue.int(done.runs_stored),
        "runs_stored": MetadataValue.int(done.runs_stored),
        "issues": MetadataValue.int(done.issues_stored),
        "duplicates": MetadataValue.int(done.duplicates),
        "rejected": MetadataValue.int(done.runs_rejected),
        "rejections": MetadataValue.json(done.rejections),
        "days": MetadataValue.int(len(days)),
        "days_without_partition": MetadataValue.json([day.isoformat() for day in outside]),
        "files_removed": MetadataValue.int(taken.removed),
        "files_changed_meanwhile": MetadataValue.json(taken.kept),
        "picture": bars(
            {"stored": done.runs_stored, "duplicates": done.duplicates, "rejected": done.runs_rejected}
        ),
    }


def _rejected_share(done: Ingested, lake: LakeResource) -> AssetCheckResult:
    received = done.runs_stored + done.duplicates + done.runs_rejected
    share = done.runs_rejected / received if received else 0.0
    return AssetCheckResult(
        check_name=REJECTED_SHARE,
        passed=share <= lake.rejected_warn_above,
        severity=AssetCheckSeverity.ERROR if share > lake.rejected_fail_above else AssetCheckSeverity.WARN,
        description=f"{done.runs_rejected} of {received} runs were rejected.",
        metadata={
            "share": share,
            "warn_above": lake.rejected_warn_above,
            "fail_above": lake.rejected_fail_above,
            "rejections": done.rejections,
        },
    )
