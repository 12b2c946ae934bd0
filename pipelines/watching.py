"""Sensors that look after the storages and tell people: what is down, what failed, what was rejected."""

from __future__ import annotations

import time

from dagster import (
    AssetKey,
    DefaultSensorStatus,
    EventLogEntry,
    RunFailureSensorContext,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    asset_sensor,
    run_failure_sensor,
    sensor,
)

from assets.definitions.storages import events
from pipelines.jobs import UNFINISHED, reconcile_storages
from pipelines.opening import kept_open
from pipelines.operations.health import status
from pipelines.watch import Watch
from resources.config import Configured
from resources.dagster_resources import LakeResource, NotificationsResource

HEALTH_SECONDS = 30
_LONGEST = 1_000
"""Characters of an error that are told; the rest stands in the run."""


@sensor(
    job_name=reconcile_storages.name,
    minimum_interval_seconds=HEALTH_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
)
def storage_health(
    context: SensorEvaluationContext, lake: LakeResource, notifications: NotificationsResource
) -> SensorResult:
    """Looks at every backend, side by side: each look is an observation and a check result of its asset.

    Tells people of what went down or has recovered, and asks for the reconciliation of what is owed
    to a backend that is well.
    """
    backends = lake.backends()
    found = status(backends)["health_status"]["backends"]
    now = time.time()
    watch = Watch(context.cursor)
    for news in watch.look(found, now, notifications.suppress_minutes * 60):
        if notifications.tell(news.title, news.body):
            watch.told(news.backend, now)
    key = _owed_to_the_well(backends, {b["name"] for b in found if b["healthy"]})
    unfinished = RunsFilter(job_name=reconcile_storages.name, statuses=UNFINISHED)
    asked = key is not None and not context.instance.get_runs_count(unfinished)
    return SensorResult(
        run_requests=[RunRequest(run_key=key)] if asked else [],
        cursor=watch.cursor,
        asset_events=list(events(found)),
    )


def _owed_to_the_well(backends: list[Configured], well: set[str]) -> str | None:
    """A name for what can be reconciled now: its newest entry, and when, since one try may not do."""
    chain = kept_open(backends).chain
    entries = chain.ledger.entries() if chain else []
    payable = [e for e in entries if e.owed_to in well and (not e.held_by or e.held_by in well)]
    return f"{payable[-1].entry_id}-{int(time.time())}" if payable else None


@run_failure_sensor(default_status=DefaultSensorStatus.RUNNING)
def failures(context: RunFailureSensorContext, notifications: NotificationsResource) -> None:
    """Tells people of every run that failed."""
    reason = (context.failure_event.message or "").strip()[:_LONGEST]
    notifications.tell(
        f"{context.dagster_run.job_name} failed", f"Run {context.dagster_run.run_id}: {reason}"
    )


@asset_sensor(asset_key=AssetKey("batches"), default_status=DefaultSensorStatus.RUNNING)
def rejects(
    context: SensorEvaluationContext,
    asset_event: EventLogEntry,
    lake: LakeResource,
    notifications: NotificationsResource,
) -> SkipReason:
    """Tells people of an ingest of whose runs more were rejected than `rejected_fail_above`."""
    materialised = asset_event.asset_materialization
    if materialised is None:
        return SkipReason("Nothing was ingested.")
    counts = {name: value.value for name, value in materialised.metadata.items()}
    rejected = int(str(counts.get("rejected", 0)))
    received = rejected + int(str(counts.get("runs_stored", 0))) + int(str(counts.get("duplicates", 0)))
    if not rejected or rejected / received <= lake.rejected_fail_above:
        return SkipReason(f"{rejected} of {received} runs were rejected.")
    reasons = counts.get("rejections")
    listed = "\n".join(map(str, reasons if isinstance(reasons, list) else []))[:_LONGEST]
    context.log.warning(f"{rejected} of {received} runs were rejected.")
    notifications.tell(f"{rejected} of {received} runs were rejected", listed)
    return SkipReason(f"People were told of {rejected} rejected runs.")
