"""The tables `runs` and `issues` by day, their compaction, and their checks."""

import time
from collections.abc import Iterator
from datetime import date

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetExecutionContext,
    AssetObservation,
    AssetSpec,
    DataVersion,
    MaterializeResult,
    asset_check,
    multi_asset,
)

from assets import days
from assets.definitions import reports
from assets.definitions.calendar import DAYS
from assets.definitions.reports import COUNTS_AGREE, ISSUES, NO_RUN_TWICE, RUNS
from assets.definitions.shell import RETRIES, no_retry_for_mistakes
from resources.backend import Backend
from resources.dagster_resources import LakeResource


@multi_asset(
    name="compact_day",
    specs=[
        AssetSpec(
            RUNS,
            deps=["batches"],
            skippable=True,
            kinds={"parquet"},
            description="Every run of the day, once. Materialising a day compacts it.",
        ),
        AssetSpec(
            ISSUES,
            deps=["batches"],
            skippable=True,
            kinds={"parquet"},
            description="Every issue of the day’s runs. Materialising a day compacts it.",
        ),
    ],
    partitions_def=DAYS,
    group_name="issuelake",
    pool="compaction",
    retry_policy=RETRIES,
)
def compact_day(
    context: AssetExecutionContext, lake: LakeResource
) -> Iterator[MaterializeResult[None] | AssetObservation]:
    """Bring the day to one sorted file.

    That does not change its rows. So it is observed, and is a materialisation only where the day
    holds other rows than were reported last; the summaries need no doing otherwise.
    """
    day = date.fromisoformat(context.partition_key)
    started = time.monotonic()
    with no_retry_for_mistakes():
        opened = lake.open()
        compacted = opened.compact_day(day)
        [version] = days.versions(opened, [day]) or [days.DayVersion.empty(day)]
    changed = reports.reported_version(context.instance, day) != version.version
    if not changed:
        context.log.info("The rows are those that were reported last, so nothing new is reported.")
    for table, rows in ((RUNS, version.runs), (ISSUES, version.issues)):
        size = opened.stored([day], table.to_user_string())[day][1]
        metadata = {
            "dagster/partition_row_count": rows,
            "bytes": size,
            "seconds": round(time.monotonic() - started, 3),
            "files_before": compacted.files_before,
            "files_after": compacted.files_after,
            "compacted": compacted.written,
        }
        if changed:
            yield MaterializeResult(table, metadata=metadata, data_version=DataVersion(version.version))
        else:
            yield AssetObservation(table, metadata=metadata, partition=context.partition_key)


@asset_check(asset=ISSUES, name=COUNTS_AGREE, blocking=True, retry_policy=RETRIES)
def counts_agree(context: AssetCheckExecutionContext, lake: LakeResource) -> AssetCheckResult:
    """Do the four counts of every run agree with the issues that are stored of it?

    The ingest answers for the days that it touched, a run of a day for that day, any other run
    for the whole lake.
    """
    with no_retry_for_mistakes():
        opened = lake.open()
        return reports.counts_agree(opened, _days(context, opened))


@asset_check(asset=RUNS, name=NO_RUN_TWICE, retry_policy=RETRIES)
def no_run_twice(context: AssetCheckExecutionContext, lake: LakeResource) -> AssetCheckResult:
    """Does every run count on one day only?

    The ingest answers for the days that it touched, a run of a day for that day, any other run
    for the whole lake.
    """
    with no_retry_for_mistakes():
        opened = lake.open()
        return reports.no_run_twice(opened, _days(context, opened))


def _days(context: AssetCheckExecutionContext, lake: Backend) -> list[date]:
    if context.op_execution_context.has_partition_key:
        return [date.fromisoformat(context.op_execution_context.partition_key)]
    return lake.days()
