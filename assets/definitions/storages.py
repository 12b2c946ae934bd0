"""The configured backends as Dagster shows them: an asset each, observed, with a check of its health."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetKey,
    AssetObservation,
    AssetSpec,
    MetadataValue,
    asset_check,
)

from resources.config import Opened, configuration, configured_names
from resources.dagster_resources import LakeResource
from resources.errors import ConfigError

HEALTHY = "healthy"
GROUP = "storage"


def key_of(backend: str) -> AssetKey:
    """What a backend is called among the assets."""
    return AssetKey([GROUP, backend])


def names() -> list[str]:
    """The backends that the environment configures; nothing is opened, no secret read."""
    with suppress(ConfigError):  # whoever opens the storage will say what is wrong with it
        return configured_names(configuration(os.environ.get("ISSUELAKE_STORAGE") or None))
    return []


def spec(name: str) -> AssetSpec:
    """The asset that stands for a backend."""
    return AssetSpec(
        key_of(name),
        group_name=GROUP,
        kinds={"storage"},
        description=f"The backend {name}: how it was at each look of the sensor `storage_health`.",
    )


def check(name: str) -> AssetChecksDefinition:
    """The check of a backend's health; the sensor reports it too."""

    @asset_check(
        asset=key_of(name), name=HEALTHY, description="Does a small file come back as it was written?"
    )
    def healthy(lake: LakeResource) -> AssetCheckResult:
        member = next((m for m in Opened(lake.backends()).members if m.name == name), None)
        if member is None:
            return AssetCheckResult(passed=False, description=f"{name} is not configured any more.")
        health = member.check()
        return AssetCheckResult(
            passed=health.healthy,
            description=health.error,
            metadata={"latency_ms": MetadataValue.float(health.latency_ms)},
        )

    return healthy


def events(backends: Sequence[Mapping[str, Any]]) -> Iterator[AssetObservation | AssetCheckEvaluation]:
    """What one look at `backends` (as `get_health_status` answers them) found."""
    for backend in backends:
        metadata = {
            "healthy": MetadataValue.bool(backend["healthy"]),
            "latency_ms": MetadataValue.float(float(backend["latency_ms"])),
            "breaker": MetadataValue.text(backend["breaker"]),
            "used": MetadataValue.bool(backend["active"]),
            "priority": MetadataValue.int(backend["priority"]),
            "owed_batches": MetadataValue.int(backend["owed_batches"]),
            "held_batches": MetadataValue.int(backend["held_batches"]),
            "place": MetadataValue.text(backend["url"]),
        }
        if backend["free_bytes"] is not None:
            metadata["free_bytes"] = MetadataValue.int(backend["free_bytes"])
        if not backend["healthy"]:
            metadata["error"] = MetadataValue.text(backend["last_error"] or "")
        yield AssetObservation(key_of(backend["name"]), metadata=metadata)
        yield AssetCheckEvaluation(
            asset_key=key_of(backend["name"]),
            check_name=HEALTHY,
            passed=backend["healthy"],
            # Another one stands in, so it is a warning where it is not the one that is used.
            severity=AssetCheckSeverity.ERROR if backend["active"] else AssetCheckSeverity.WARN,
            metadata=metadata,
        )
