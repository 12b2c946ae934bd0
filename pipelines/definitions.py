"""Everything Dagster loads: `dagster dev` in a checkout, or `-m pipelines.definitions` anywhere."""

from __future__ import annotations

import os

from dagster import Definitions, EnvVar, in_process_executor

from assets.definitions import storages
from assets.definitions.batches import batches, inbox_asset
from assets.definitions.problems import problems
from assets.definitions.summary import daily_summary
from assets.definitions.tables import compact_day, counts_agree, no_run_twice
from assets.definitions.trends import trends
from assets.definitions.weekly_report import weekly_report
from pipelines.jobs import catch_up, ingest_inbox, maintenance, reconcile_storages, report_week
from pipelines.opening import kept_open
from pipelines.schedules import hourly_catch_up, nightly_maintenance, weekly
from pipelines.sensors import automation, inbox_sensor
from pipelines.watching import failures, findings, rejects, storage_health
from resources.backend import Backend
from resources.dagster_resources import LakeResource, NotificationsResource, ReportsResource


class OpenedLake(LakeResource):
    """The lake, with the runs of an old history beside it, if any, in it."""

    def open(self) -> Backend:
        return kept_open(self.backends()).begin().backend


def _from_environment(name: str, default: str) -> str:
    """The variable `name`, read when the resource is opened and never shown, or else `default`."""
    return EnvVar(name) if os.environ.get(name) else default


BACKENDS = storages.names()

defs = Definitions(
    assets=[
        inbox_asset,
        batches,
        compact_day,
        daily_summary,
        problems,
        trends,
        weekly_report,
        *map(storages.spec, BACKENDS),
    ],
    asset_checks=[counts_agree, no_run_twice, *map(storages.check, BACKENDS)],
    jobs=[ingest_inbox, catch_up, maintenance, reconcile_storages, report_week],
    schedules=[hourly_catch_up, nightly_maintenance, weekly],
    sensors=[inbox_sensor, automation, storage_health, failures, rejects, findings],
    resources={
        "lake": OpenedLake(
            storage=_from_environment("ISSUELAKE_STORAGE", ""),
            storage_options=_from_environment("ISSUELAKE_STORAGE_OPTIONS", "{}"),
            encryption_key=EnvVar("ISSUELAKE_ENCRYPTION_KEY")
            if "ISSUELAKE_ENCRYPTION_KEY" in os.environ
            else None,
            inbox=_from_environment("ISSUELAKE_INBOX", "inbox"),
            inbox_options=_from_environment("ISSUELAKE_INBOX_OPTIONS", "{}"),
        ),
        "reports": ReportsResource(
            to=_from_environment("ISSUELAKE_REPORT_TO", ""),
            to_options=_from_environment("ISSUELAKE_REPORT_OPTIONS", "{}"),
        ),
        "notifications": NotificationsResource(urls=_from_environment("ISSUELAKE_NOTIFY", "")),
    },
    # Steps are short, and a process for each would take longer than the step.
    executor=in_process_executor,
)
