"""What is told to Dagster about days whose rows changed, and how the lake's checks turned out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetKey,
    AssetMaterialization,
    AssetRecordsFilter,
    DagsterInstance,
    MetadataValue,
    OpExecutionContext,
)

from assets import days
from assets.definitions.calendar import with_partition
from assets.definitions.shell import table as picture
from assets.summary import CountsDisagree, Summary, summarise
from resources.backend import Backend

RUNS = AssetKey("runs")
ISSUES = AssetKey("issues")
DAILY_SUMMARY = AssetKey("daily_summary")
COUNTS_AGREE = "counts_agree"
NO_RUN_TWICE = "no_run_twice"

_DATA_VERSION = "dagster/data_version"
FEW_DAYS = 8
"""So many changed days get a run each for their summaries, within seconds of each other."""

_NAMED = 20


def changed_days(lake: Backend, changed: Sequence[date]) -> Iterator[AssetMaterialization]:
    """A materialisation of `runs` and of `issues` for each of `changed` that has a partition.

    This is what sets the summaries off. Many days at once are summarised right here, and their
    summaries reported, too: a run for each would take a thousand times as long.
    """
    known = with_partition(changed)
    files = {table: lake.stored(known, table.to_user_string()) for table in (RUNS, ISSUES)}
    versions = {version.day: version for version in days.versions(lake, known)}
    for day in known:
        version = versions.get(day) or days.DayVersion.empty(day)
        summarised = list(_summarised(lake, day)) if len(known) > FEW_DAYS else []
        for table, rows in ((RUNS, version.runs), (ISSUES, version.issues)):
            count, size = files[table][day]
            yield AssetMaterialization(
                table,
                partition=day.isoformat(),
                metadata={"dagster/partition_row_count": rows, "bytes": size, "files": count},
                tags={_DATA_VERSION: version.version},
            )
        yield from summarised


def _summarised(lake: Backend, day: date) -> Iterator[AssetMaterialization]:
    started = time.monotonic()
    try:
        summary = summarise(lake, day)
    except CountsDisagree:
        return  # left to the run that will be asked for, whose failure everybody sees
    metadata = describe_summary(summary) | {
        "seconds": MetadataValue.float(round(time.monotonic() - started, 3))
    }
    yield AssetMaterialization(DAILY_SUMMARY, partition=day.isoformat(), metadata=metadata)


def describe_summary(summary: Summary) -> dict[str, MetadataValue]:
    """The summary as metadata, with a small table."""
    rows = summary.table.to_pylist()
    severities = ("critical", "high", "medium", "low")
    return {
        "dagster/partition_row_count": MetadataValue.int(len(rows)),
        "bytes": MetadataValue.int(summary.size),
        "path": MetadataValue.text(summary.path or ""),
        "runs": MetadataValue.int(sum(row["runs"] for row in rows)),
        "total_issues": MetadataValue.int(sum(row["total_issues"] for row in rows)),
        **{s: MetadataValue.int(sum(row[f"{s}_issues"] for row in rows)) for s in severities},
        "picture": picture(
            ("plugin", "runs", *severities, "score"),
            [
                (
                    row["target_plugin"],
                    row["runs"],
                    *(row[f"{s}_issues"] for s in severities),
                    "–" if row["average_score"] is None else f"{row['average_score']:.1f}",
                )
                for row in rows
            ],
        ),
    }


def reported_version(instance: DagsterInstance, day: date) -> str | None:
    """The data version that was reported last for the issues of `day`."""
    wanted = AssetRecordsFilter(ISSUES, asset_partitions=[day.isoformat()])
    records = instance.fetch_materializations(wanted, limit=1).records
    found = records[0].asset_materialization if records else None
    return (found.tags or {}).get(_DATA_VERSION) if found else None


def counts_agree(lake: Backend, checked: Sequence[date]) -> AssetCheckResult:
    """Whether the four counts of every run of `checked` are those of its issues."""
    found = days.disagreements(lake, checked)
    return _result(ISSUES, COUNTS_AGREE, checked, [str(disagreement) for disagreement in found])


def no_run_twice(lake: Backend, checked: Sequence[date]) -> AssetCheckResult:
    """Whether the days of `checked` hold no run that counts on another day, too."""
    found = days.counted_twice(lake, checked)
    return _result(RUNS, NO_RUN_TWICE, checked, [str(day) for day in found])


def evaluations(lake: Backend, checked: Sequence[date]) -> Iterator[AssetCheckEvaluation]:
    """Both checks over `checked`, for an op that is not itself their check."""
    for result, blocking in ((counts_agree(lake, checked), True), (no_run_twice(lake, checked), False)):
        assert result.asset_key is not None  # both say which asset they check
        assert result.check_name is not None
        yield AssetCheckEvaluation(
            asset_key=result.asset_key,
            check_name=result.check_name,
            passed=result.passed,
            metadata=result.metadata,
            description=result.description,
            blocking=blocking,
        )


def tell(context: OpExecutionContext, events: Iterable[AssetMaterialization | AssetCheckEvaluation]) -> None:
    """Log `events` as part of the run."""
    for event in events:
        context.log_event(event)  # type: ignore[arg-type]  # takes evaluations, its annotation does not


def _result(asset: AssetKey, check: str, checked: Sequence[date], found: list[str]) -> AssetCheckResult:
    return AssetCheckResult(
        passed=not found,
        asset_key=asset,
        check_name=check,
        description=found[0] if found else None,
        metadata={
            "days": len(checked),
            "first_day": str(min(checked, default="")),
            "last_day": str(max(checked, default="")),
            "found": len(found),
            "examples": found[:_NAMED],
        },
    )
