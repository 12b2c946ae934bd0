"""The daily summary: asked for by every change of a day's rows, old days too."""

import time
from datetime import date, timedelta

from dagster import (
    AssetExecutionContext,
    AutomationCondition,
    FreshnessPolicy,
    MaterializeResult,
    MetadataValue,
    asset,
)

from assets.definitions.calendar import DAYS
from assets.definitions.reports import ISSUES, RUNS, describe_summary
from assets.definitions.shell import RETRIES, no_retry_for_mistakes
from assets.summary import summarise
from resources.dagster_resources import LakeResource

# `eager()` looks at the newest day only, and forgets a change that is seen in the tick after a
# request, when the run asked for may have read the day before it. Here a change counts until a
# request or a summary that is later than it, to the microsecond; so nothing but conditions that know
# when may stand on either side of `since`.
_CHANGED = AutomationCondition.any_deps_match(AutomationCondition.newly_updated())
DAY_CHANGED = (
    _CHANGED.since(AutomationCondition.newly_requested()).with_label("changed_since_asked_for")
    & _CHANGED.since(AutomationCondition.newly_updated()).with_label("changed_since_summarised")
    & ~AutomationCondition.in_progress()
).with_label("day_changed")


@asset(
    deps=[RUNS, ISSUES],
    partitions_def=DAYS,
    automation_condition=DAY_CHANGED,
    group_name="issuelake",
    kinds={"parquet", "duckdb"},
    retry_policy=RETRIES,
    freshness_policy=FreshnessPolicy.time_window(
        warn_window=timedelta(days=2), fail_window=timedelta(days=8)
    ),
)
def daily_summary(context: AssetExecutionContext, lake: LakeResource) -> MaterializeResult[None]:
    """Runs, issues by severity, and scores of each plugin on the day.

    A day whose runs count other issues than are stored is not summarised.
    """
    with no_retry_for_mistakes():
        opened = lake.open()
        started = time.monotonic()
        summary = summarise(opened, date.fromisoformat(context.partition_key))
    seconds = MetadataValue.float(round(time.monotonic() - started, 3))
    return MaterializeResult(metadata=describe_summary(summary) | {"seconds": seconds})
