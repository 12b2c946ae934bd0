"""How long runs are kept: `max_history` of each backend, and the days of a policy.

    keep_days:
      by_plugin:
        legacy-*: 30
        "*": 400
      by_severity:
        critical: 1000
        clean: 30

The policy stands in a file of its own, that `--policy` or ISSUELAKE_RETENTION names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec

from resources.errors import ConfigError
from resources.schema import SEVERITIES

ENVIRONMENT_VARIABLE = "ISSUELAKE_RETENTION"
CLEAN = "clean"
"""What stands for the severity of a run without issues."""

WORST = (*SEVERITIES, CLEAN)
MAX_DAYS = 36_500

_Days = Annotated[int, msgspec.Meta(ge=1, le=MAX_DAYS)]
_Pattern = Annotated[str, msgspec.Meta(min_length=1)]


class KeepDays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whole days from a run's timestamp on. Of several patterns that fit a plugin the first one holds."""

    by_plugin: dict[_Pattern, _Days] = {}
    by_severity: dict[str, _Days] = {}
    """By the severity of the run's worst issue."""


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for beside `max_history`; nothing at all keeps everything."""

    keep_days: KeepDays = KeepDays()


def policy_of(document: Any, source: str) -> Policy:
    """The policy in `document`, which comes from `source`. Raises `ConfigError`."""
    if not isinstance(document, dict):
        raise ConfigError(f"The policy {source} must be a mapping; its key is keep_days.")
    try:
        policy = msgspec.convert(document, Policy)
    except msgspec.ValidationError as error:
        keys = ", ".join((*Policy.__struct_fields__, *KeepDays.__struct_fields__))
        raise ConfigError(f"The policy {source} is not one: {error}; its keys are {keys}.") from None
    for severity in policy.keep_days.by_severity:
        if severity not in WORST:
            raise ConfigError(
                f"The policy {source} has the unknown key {severity!r} in keep_days.by_severity;"
                f" known are {', '.join(WORST)}."
            )
    return policy


def configured_policy() -> Policy:
    """That of ISSUELAKE_RETENTION, else one that keeps everything. Raises `ConfigError`."""
    path = os.environ.get(ENVIRONMENT_VARIABLE)
    return policy_in(path) if path else Policy()


def policy_in(path: str) -> Policy:
    """The policy in the file `path`, YAML or JSON. Raises `ConfigError`."""
    import yaml

    try:
        document = yaml.safe_load(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"Could not read the policy {path!r}: {reason}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"The policy {path} is not YAML or JSON: {error}.") from None
    return policy_of(document, path)
