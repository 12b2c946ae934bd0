"""What runs by the clock (UTC), on from the start."""

from dagster import DefaultScheduleStatus, ScheduleDefinition

from pipelines.jobs import catch_up, maintenance, report_week

hourly_catch_up = ScheduleDefinition(
    name="hourly_catch_up",
    job=catch_up,
    cron_schedule="5 * * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Brings the daily summaries up to date with what was stored outside of Dagster.",
)

nightly_maintenance = ScheduleDefinition(
    name="nightly_maintenance",
    job=maintenance,
    cron_schedule="30 2 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Compacts the lake.",
)

weekly = ScheduleDefinition(
    name="weekly_report",
    job=report_week,
    cron_schedule="0 5 * * 1",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Makes the report of the week that has just ended, and publishes it.",
)
