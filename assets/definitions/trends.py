"""The trends by day, week and month: made anew whenever a summary or the problems are."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetSpec,
    AutomationCondition,
    FreshnessPolicy,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)

from assets.definitions.reports import DAILY_SUMMARY
from assets.definitions.shell import PICTURE_ROWS, RETRIES, image, no_retry_for_mistakes, place, table
from assets.definitions.summary import DAY_CHANGED
from assets.trends.kept import Kept, keep_all
from assets.trends.model import Grain
from assets.trends.picture import svg
from resources.dagster_resources import LakeResource

PROBLEMS = AssetKey("problems")
NAMES = {Grain.DAY: "daily_trend", Grain.WEEK: "weekly_trend", Grain.MONTH: "monthly_trend"}

# Several days change at once as a rule, and the problems after them: once all are done is enough.
WHEN_ALL_IS_DONE = (DAY_CHANGED & ~AutomationCondition.any_deps_in_progress()).with_label("all_is_done")


@multi_asset(
    name="trends",
    specs=[
        AssetSpec(
            name,
            deps=[DAILY_SUMMARY, PROBLEMS],
            automation_condition=WHEN_ALL_IS_DONE,
            group_name="issuelake",
            kinds={"parquet", "duckdb"},
            description=f"How each plugin, and all together, did by {grain.value}: docs/trends.md.",
            freshness_policy=FreshnessPolicy.time_window(
                warn_window=timedelta(days=2), fail_window=timedelta(days=8)
            ),
        )
        for grain, name in NAMES.items()
    ],
    pool="trends",
    retry_policy=RETRIES,
)
def trends(context: AssetExecutionContext, lake: LakeResource) -> Iterator[MaterializeResult[None]]:
    """Issues, scores, problems new, fixed and open, in every period since the first run."""
    with no_retry_for_mistakes():
        opened = lake.open()
        with lake.workers(opened) as engine:
            started = time.monotonic()
            for grain, kept in keep_all(engine):
                name = NAMES[grain]
                context.log.info(f"{name}: {kept.table.num_rows} rows in {kept.path}")
                seconds = MetadataValue.float(round(time.monotonic() - started, 3))
                described = _describe(grain, kept, opened.url) | {"seconds": seconds}
                yield MaterializeResult(name, metadata=described)
                started = time.monotonic()


def _describe(grain: Grain, kept: Kept, url: str) -> dict[str, MetadataValue]:
    rows: list[dict[str, Any]] = kept.table.to_pylist()
    overall = [row for row in rows if row["target_plugin"] is None]
    newest = overall[-PICTURE_ROWS:]
    last = newest[-1] if newest else dict.fromkeys(kept.table.column_names, 0)
    return {
        "dagster/row_count": MetadataValue.int(len(rows)),
        "bytes": MetadataValue.int(kept.size),
        "path": place(url, kept.path),
        "periods": MetadataValue.int(len(overall)),
        "plugins": MetadataValue.int(len({row["target_plugin"] for row in rows} - {None})),
        "runs": MetadataValue.int(sum(row["runs"] for row in overall)),
        "total_issues": MetadataValue.int(sum(row["total_issues"] for row in overall)),
        **{name: MetadataValue.int(last[name]) for name in ("new", "reopened", "fixed", "open")},
        "picture": _picture(grain, newest),
        "newest": table(
            (grain.value, "runs", "issues", "score", "new", "reopened", "fixed", "open"),
            [
                (
                    grain.label(row["period"]),
                    row["runs"],
                    row["total_issues"],
                    "–" if row["average_score"] is None else f"{row['average_score']:.1f}",
                    *(row[name] for name in ("new", "reopened", "fixed", "open")),
                )
                for row in newest
            ],
        ),
        "made_of": MetadataValue.asset(PROBLEMS),
        "definitions": MetadataValue.path("docs/trends.md"),
    }


def _picture(grain: Grain, newest: list[dict[str, Any]]) -> MetadataValue:
    opens = [row["open"] for row in newest]
    says = f"open problems by {grain.value}: {', '.join(f'{n:,}' for n in opens) or 'no run yet'}"
    labels = [grain.label(row["period"]) for row in newest]
    came = [row["new"] + row["reopened"] for row in newest]
    return image(svg(labels, opens, came, [row["fixed"] for row in newest]), says)
