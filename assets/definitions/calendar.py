"""The days that Dagster knows: one partition each, from a first day to today.

Runs from before the first day, or from the future, are stored, read and summarised on request like
all others. They have no partition: nothing is reported for their day, so nothing is automated.
A day that was in the future is caught up with when it comes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, date, datetime

from dagster import DailyPartitionsDefinition

from resources.errors import ConfigError

FIRST_DAY_VARIABLE = "ISSUELAKE_FIRST_DAY"
DEFAULT_FIRST_DAY = "2010-01-01"

MAX_DAYS = 100_000
"""Dagster's advice for the number of partitions of an asset."""


def days_from(first: str) -> DailyPartitionsDefinition:
    """One partition a day from `first` (as in 2010-01-01) to today, UTC. Raises `ConfigError`."""
    try:
        start = date.fromisoformat(first)
    except ValueError:
        raise ConfigError(
            f"{FIRST_DAY_VARIABLE} must be a day like {DEFAULT_FIRST_DAY}, not {first!r}."
        ) from None
    if (datetime.now(UTC).date() - start).days >= MAX_DAYS:
        raise ConfigError(f"{FIRST_DAY_VARIABLE} {first} is more than {MAX_DAYS} days ago; take a later one.")
    # Without an offset the last partition is yesterday.
    return DailyPartitionsDefinition(start_date=start.isoformat(), timezone="UTC", end_offset=1)


DAYS = days_from(os.environ.get(FIRST_DAY_VARIABLE, DEFAULT_FIRST_DAY))


def with_partition(days: Iterable[date]) -> list[date]:
    """Those of `days` that have a partition, oldest first."""
    return sorted(day for day in days if DAYS.has_partition_key(day.isoformat()))
