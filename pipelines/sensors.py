"""What waits for something to happen, on from the start."""

from datetime import UTC, datetime

from dagster import (
    AssetObservation,
    AssetSelection,
    AutomationConditionSensorDefinition,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets.definitions.batches import describe, inbox_asset, inbox_of
from assets.inbox import Asked, ask, settled, waiting
from pipelines.jobs import UNFINISHED, ingest_inbox
from resources.dagster_resources import LakeResource

INBOX_SECONDS = 10
AUTOMATION_SECONDS = 5


@sensor(
    job=ingest_inbox,
    minimum_interval_seconds=INBOX_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
)
def inbox_sensor(context: SensorEvaluationContext, lake: LakeResource) -> SensorResult:
    """Asks for one ingest when files are waiting and nobody is writing to them any more."""
    now = datetime.now(UTC)
    files = settled(waiting(inbox_of(lake)), now)
    if not files.files:
        return SensorResult(skip_reason=SkipReason("Nothing is waiting."))
    unfinished = RunsFilter(job_name=ingest_inbox.name, statuses=UNFINISHED)
    if context.instance.get_runs_count(unfinished):
        # It takes in whatever is there when it starts; what comes later is seen when it is done.
        return SensorResult(skip_reason=SkipReason("An ingest is under way."))
    asked = ask(files, Asked.from_cursor(context.cursor), now)
    if asked is None:
        return SensorResult(skip_reason=SkipReason("What is waiting was asked for, and will be again."))
    return SensorResult(
        run_requests=[RunRequest(run_key=asked.key)],
        cursor=asked.cursor,
        asset_events=[AssetObservation(inbox_asset.key, metadata=describe(files))],
    )


automation = AutomationConditionSensorDefinition(
    name="automation",
    target=AssetSelection.all(),
    minimum_interval_seconds=AUTOMATION_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    # A run for each day, at once: a backfill of several days is looked at every 30 s only.
    emit_backfills=False,
    description="Carries every change of a day on to what is made from it.",
)
