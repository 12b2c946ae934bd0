"""`get_health_status`: is every configured backend well, and how have operations fared?"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from assets.answers import Answer, operation_result
from pipelines.operations.storages import forget, opened
from resources.config import Configured
from resources.errors import IssuelakeError
from resources.health import Health
from resources.secrets import scrubbed


@dataclass
class Counters:
    """How the operations of this process have fared."""

    last_success: datetime | None = None
    errors: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, success: bool) -> None:
        with self._lock:
            if success:
                self.last_success = datetime.now(UTC)
            else:
                self.errors += 1


COUNTERS = Counters()


def status(backends: Sequence[Configured]) -> Answer:
    """A round trip to each of `backends`; fails where the active one is not well."""
    checks = [_check(backend) for backend in backends]
    used, checked = next((b, c) for b, c in zip(backends, checks, strict=True) if b.active)
    moment = datetime.now(UTC) if checked.healthy else COUNTERS.last_success
    answer: Answer = {
        "success": checked.healthy,
        "operation_result": operation_result("get_health_status", used.name, 0),
        "health_status": {
            "storage_healthy": checked.healthy,
            "storage_backend": used.name,
            "last_successful_operation": moment and moment.isoformat().replace("+00:00", "Z"),
            "error_count": COUNTERS.errors + (not checked.healthy),
            "backends": [_backend(b, c) for b, c in zip(backends, checks, strict=True)],
        },
    }
    if checked.error is not None:
        answer["error"] = checked.error
    return answer


def _check(backend: Configured) -> Health:
    try:
        checked = opened(backend).backend.check()
    except IssuelakeError as error:  # its driver is missing, or nobody answers
        checked = Health(False, 0.0, str(error))
    if checked.error is not None:
        checked = replace(checked, error=scrubbed(checked.error, backend.settings))
    if not checked.healthy:
        forget(backend)
    return checked


def _backend(backend: Configured, checked: Health) -> dict[str, Any]:
    return {
        "name": backend.name,
        "active": backend.active,
        "priority": backend.settings.priority,
        "url": backend.settings.place(),
        "healthy": checked.healthy,
        "latency_ms": checked.latency_ms,
        "last_error": checked.error,
    }
