"""How many days a problem of each severity may stay."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from resources.errors import ConfigError
from resources.schema import SEVERITIES

DEFAULT_DAYS: Mapping[str, int] = MappingProxyType({"critical": 7, "high": 30, "medium": 90, "low": 180})
ENVIRONMENT_VARIABLE = "ISSUELAKE_SLA_DAYS"
MAX_DAYS = 36_500

SlaDays = Mapping[str, int]
"""Whole days by severity, counted from the moment in which a problem came up, or came back."""


def sla_days(given: Iterable[str] = ()) -> SlaDays:
    """The days that hold: `given` (`high=14`), before those of ISSUELAKE_SLA_DAYS, before the default.

    Raises `ConfigError`.
    """
    variable = os.environ.get(ENVIRONMENT_VARIABLE, "")
    said = [(ENVIRONMENT_VARIABLE, part) for part in variable.split(",") if part.strip()]
    said += [("--sla-days", part) for part in given]
    return checked({name: days for where, part in said for name, days in [_parted(where, part)]})


def checked(days: Mapping[str, object], where: str = "the SLA days") -> SlaDays:
    """`days` over the default. Raises `ConfigError`."""
    for name, value in days.items():
        if name not in SEVERITIES:
            raise ConfigError(f"{where}: {name!r} is not a severity; they are {', '.join(SEVERITIES)}.")
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_DAYS:
            raise ConfigError(
                f"{where}: {name} is {value!r}, which is not a number of days (0 to {MAX_DAYS})."
            )
    return {**DEFAULT_DAYS, **days}  # type: ignore[dict-item]  # they were looked at one by one


def _parted(where: str, part: str) -> tuple[str, int]:
    name, _, days = part.partition("=")
    try:
        return name.strip(), int(days)
    except ValueError:
        raise ConfigError(f"{where} takes SEVERITY=DAYS, such as high=14, not {part.strip()!r}.") from None
