"""The policy of a gate: what is let through.

Each key is a rule, and one that is not given is not looked at. `docs/gate.md` explains them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from resources.errors import ConfigError
from resources.schema import SEVERITIES

Decided = Literal["accepted", "false_positive"]

_Number = Annotated[int, msgspec.Meta(ge=0)]
_Score = Annotated[int, msgspec.Meta(ge=0, le=100)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many of each severity are let through at most; None: any number."""

    critical: _Number | None = None
    high: _Number | None = None
    medium: _Number | None = None
    low: _Number | None = None


Limit = _Number | Limits
"""So many in all, or so many of each severity."""


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gate lets through."""

    plugins: Annotated[list[str], msgspec.Meta(min_length=1)] | None = None
    max_new: Limit | None = None
    max_open: Limit | None = None
    max_sla_breaches: Limit | None = None
    min_score: _Score | None = None
    max_score_drop: _Score | None = None
    ignore_triage: list[Decided] = msgspec.field(default_factory=lambda: ["accepted", "false_positive"])
    sla_days: dict[str, int] = {}


RULES = ("max_new", "max_open", "max_sla_breaches", "min_score", "max_score_drop")


@dataclass(frozen=True, slots=True)
class Bound:
    """At most `most` problems of `severities`; `name` is where the policy says so."""

    name: str
    severities: tuple[str, ...]
    most: int


def policy_of(document: Any, source: str) -> Policy:
    """The policy in `document`, which comes from `source`. Raises `ConfigError`."""
    known = Policy.__struct_fields__
    if not isinstance(document, dict):
        raise ConfigError(f"The policy {source} must be a mapping; its keys are {', '.join(known)}.")
    for key in document:
        if key not in known:
            raise ConfigError(
                f"The policy {source} has the unknown key {key!r}; known are {', '.join(known)}."
            )
    for key in ("max_new", "max_open", "max_sla_breaches"):
        limits = document.get(key)
        for severity in limits if isinstance(limits, dict) else ():
            if severity not in SEVERITIES:
                raise ConfigError(
                    f"The policy {source} has the unknown key {severity!r} in {key};"
                    f" known are {', '.join(SEVERITIES)}."
                )
    try:
        policy = msgspec.convert(document, Policy)
    except msgspec.ValidationError as error:
        raise ConfigError(f"The policy {source} is not one: {error}.") from None
    if all(getattr(policy, rule) is None for rule in RULES):
        raise ConfigError(
            f"The policy {source} has no rule, so it would let anything through: {', '.join(RULES)}."
        )
    return policy


def bounds(policy: Policy, rule: str) -> Iterator[Bound]:
    """The bounds that `rule` of the policy sets, the worst severity first."""
    limit: int | Limits | None = getattr(policy, rule)
    if isinstance(limit, int):
        yield Bound(rule, SEVERITIES, limit)
    elif limit is not None:
        for severity in SEVERITIES:
            most: int | None = getattr(limit, severity)
            if most is not None:
                yield Bound(f"{rule}.{severity}", (severity,), most)
