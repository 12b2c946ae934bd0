"""The report of the newest week, made and published by a schedule."""

import time
from datetime import timedelta

from dagster import AssetExecutionContext, AssetKey, FreshnessPolicy, MaterializeResult, MetadataValue, asset

from assets.definitions.shell import RETRIES, no_retry_for_mistakes, table
from assets.report.headline import cards
from assets.report.publishing import Published, publish_week
from resources.dagster_resources import LakeResource, ReportsResource


@asset(
    deps=[AssetKey("weekly_trend"), AssetKey("problems")],
    group_name="issuelake",
    kinds={"html", "altair"},
    pool="reports",
    retry_policy=RETRIES,
    freshness_policy=FreshnessPolicy.time_window(
        warn_window=timedelta(days=8), fail_window=timedelta(days=15)
    ),
)
def weekly_report(
    context: AssetExecutionContext, lake: LakeResource, reports: ReportsResource
) -> MaterializeResult[None]:
    """One HTML file about the newest week that has runs, against the week before: docs/report.md."""
    started = time.monotonic()
    with no_retry_for_mistakes():
        done = publish_week(lake.open(), reports.to, reports.options)
    context.log.info(f"The report is at {done.path}.")
    seconds = MetadataValue.float(round(time.monotonic() - started, 3))
    return MaterializeResult(metadata=_describe(done) | {"seconds": seconds})


def _describe(done: Published) -> dict[str, MetadataValue]:
    figures = done.made.figures
    return {
        "path": MetadataValue.path(done.path),
        "bytes": MetadataValue.int(len(done.made.content)),
        "sha256": MetadataValue.text(done.made.sha256),
        "first_day": MetadataValue.text(figures.asked.first.isoformat()),
        "last_day": MetadataValue.text(figures.asked.last.isoformat()),
        "runs": MetadataValue.int(figures.flow.runs),
        "open": MetadataValue.int(figures.open),
        "sla_breached": MetadataValue.int(sum(row.breached for row in figures.standing)),
        "picture": table(
            ("", "this week", "change"), [(card.name, card.value, card.change) for card in cards(figures)]
        ),
    }
