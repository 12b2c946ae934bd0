"""Sensors that look after the storages and tell people: what is down, what failed, what was rejected."""

from __future__ import annotations

import time

import msgspec
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

from assets.definitions.problems import problems as problems_asset
from assets.definitions.storages import events
from assets.problems.columns import UNDECIDED
from assets.problems.listing import BREACHED, PRESENT, Filters, Problem, problems
from pipelines.jobs import UNFINISHED, reconcile_storages
from pipelines.opening import kept_open
from pipelines.operations.health import status
from pipelines.watch import Told, Watch, fresh
from resources.config import Configured
from resources.dagster_resources import LakeResource, NotificationsResource

HEALTH_SECONDS = 30
FINDINGS_SECONDS = 60
_LOOK_AT_LEAST_EVERY = 3600.0
"""Seconds: an SLA is broken by nothing but time."""
_LISTED = 10
_MOST = 1000
"""Problems of a kind that are looked at: whoever has more knows that there are many."""
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


@sensor(minimum_interval_seconds=FINDINGS_SECONDS, default_status=DefaultSensorStatus.RUNNING)
def findings(
    context: SensorEvaluationContext, lake: LakeResource, notifications: NotificationsResource
) -> SensorResult:
    """Tells people of critical problems that are new or came back, and of those that broke their SLA.

    Of each once; what was accepted is no news. What was there before the sensor's first look is not told.
    """
    told = msgspec.json.decode(context.cursor, type=Told) if context.cursor else Told()
    now = time.time()
    changed = context.instance.get_latest_materialization_event(problems_asset.key)
    if (changed is None or changed.timestamp <= told.looked_at) and (
        now - told.looked_at < _LOOK_AT_LEAST_EVERY
    ):
        return SensorResult(skip_reason=SkipReason("The problems are as they were."), cursor=context.cursor)
    critical = _present(lake, severity=("critical",))
    breached = _present(lake, sla=BREACHED)
    if told.begun:
        for title, news in (
            ("new critical problems", fresh(told.critical, critical)),
            ("problems past their SLA", fresh(told.breached, breached)),
        ):
            if news and not notifications.tell(f"{title}: {len(news)}", _listing(news)):
                reason = SkipReason("Not everybody was reached.")
                return SensorResult(skip_reason=reason, cursor=context.cursor)
    cursor = Told(now, list(critical), list(breached), True)
    return SensorResult(
        skip_reason=SkipReason(f"{len(critical)} are critical, {len(breached)} past their SLA."),
        cursor=msgspec.json.encode(cursor).decode(),
    )


def _present(
    lake: LakeResource, severity: tuple[str, ...] = (), sla: str | None = None
) -> dict[str, Problem]:
    """The problems that are not fixed and that nobody has decided about, by `_by_life`."""
    asked = Filters(PRESENT, severity, triage=(UNDECIDED,), sla=sla, limit=_MOST)
    return _by_life(problems(lake.open(), asked).problems)


def _by_life(found: list[Problem]) -> dict[str, Problem]:
    """Problems by what stays the same until they are fixed, and is another when they come back."""
    return {f"{p['fingerprint'][:16]}{int(p['opened_at'].timestamp()):x}": p for p in found}


def _listing(found: list[Problem]) -> str:
    lines = [
        " ".join(f"{p['target_plugin']}: {p['description']} ({p['file_path'] or 'no file'})".split())[:300]
        for p in found[:_LISTED]
    ]
    rest = len(found) - len(lines)
    return "\n".join(lines + ([f"and {rest} more; see issuelake problems"] if rest else []))
