"""The problems over time: brought up to date by every change of a day's rows, from that day on."""

import time
from datetime import timedelta

from dagster import AssetExecutionContext, FreshnessPolicy, MaterializeResult, MetadataValue, asset

from assets.definitions.launching import launch
from assets.definitions.reports import ISSUES, RUNS
from assets.definitions.shell import RETRIES, bars, no_retry_for_mistakes, table
from assets.definitions.summary import DAY_CHANGED
from assets.launched import Work
from assets.problems.counts import Counts, counts_by_status
from assets.problems.update import Updated, bring_up_to_date
from resources.dagster_resources import LakeResource
from resources.schema import SEVERITIES


@asset(
    deps=[RUNS, ISSUES],
    automation_condition=DAY_CHANGED,
    group_name="issuelake",
    kinds={"parquet", "duckdb"},
    pool="problems",
    retry_policy=RETRIES,
    freshness_policy=FreshnessPolicy.time_window(
        warn_window=timedelta(days=2), fail_window=timedelta(days=8)
    ),
)
def problems(context: AssetExecutionContext, lake: LakeResource) -> MaterializeResult[None]:
    """What became of every problem: new, open, reopened, not checked or fixed.

    Works out the days that changed and those after them, whatever asked for it.
    """
    with no_retry_for_mistakes():
        opened = lake.open()
        started = time.monotonic()
        if lake.is_launched:
            updated = launch(context.op_execution_context, lake, Work.PROBLEMS, Updated)
        else:
            with lake.workers(opened) as engine:
                updated = bring_up_to_date(opened, engine=engine)
        counts = counts_by_status(opened)
    context.log.info(f"{len(updated.days)} days were worked out.")
    seconds = MetadataValue.float(round(time.monotonic() - started, 3))
    return MaterializeResult(metadata=_describe(updated, counts) | {"seconds": seconds})


def _describe(updated: Updated, counts: Counts) -> dict[str, MetadataValue]:
    by_status = {status: count["problems"] for status, count in counts.items()}
    rows = [(status, *(count[s] for s in SEVERITIES)) for status, count in counts.items()]
    return {
        "dagster/row_count": MetadataValue.int(sum(by_status.values())),
        **{status: MetadataValue.int(count) for status, count in by_status.items()},
        "triaged": MetadataValue.int(sum(count["triaged"] for count in counts.values())),
        "sla_breached": MetadataValue.int(sum(count["sla_breached"] for count in counts.values())),
        "days": MetadataValue.int(len(updated.days)),
        "first_day": MetadataValue.text(str(min(updated.days, default=""))),
        "last_day": MetadataValue.text(str(updated.base.day or "")),
        "picture": bars(by_status),
        "severities": table(("status", *SEVERITIES), rows),
    }
