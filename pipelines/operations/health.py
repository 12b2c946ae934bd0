"""`get_health_status`: is every configured backend well, and how have operations fared?"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from assets.answers import Answer, operation_result
from pipelines.operations.storages import kept
from resources.config import Configured, active
from resources.health import Health
from resources.selection.chain import look_at
from resources.selection.ledger import Entry
from resources.selection.member import Member

HEALTHY, DEGRADED, DOWN = "healthy", "degraded", "down"


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
    """A round trip to each of `backends`, side by side; fails where none of those in use is well.

    `verdict` is `healthy` where the preferred one is, `degraded` where another has to stand in.
    """
    opened = kept(backends)
    members = opened.members
    in_use = list(opened.chain.members) if opened.chain else [_active(backends, members)]
    # Only those in use have a breaker that learns of it.
    checks = look_at(members, breakers=in_use if opened.chain else ())
    entries = opened.chain.ledger.entries() if opened.chain else []
    well = [member for member, checked in checks if checked.healthy and member in in_use]
    used = well[0] if well else in_use[0]
    moment = datetime.now(UTC) if well else COUNTERS.last_success
    answer: Answer = {
        "success": bool(well),
        "operation_result": operation_result("get_health_status", used.configured_as, 0),
        "health_status": {
            "storage_healthy": bool(well),
            "storage_backend": used.configured_as,
            "verdict": (HEALTHY if used is in_use[0] else DEGRADED) if well else DOWN,
            "last_successful_operation": _moment(moment),
            "error_count": COUNTERS.errors + (not well),
            "owed_batches": len(entries),
            "backends": [
                _backend(member, checked, member is used, bool(opened.chain), entries)
                for member, checked in checks
            ],
        },
    }
    if not well:
        errors = {member.name: checked.error or "" for member, checked in checks if member in in_use}
        several = (f"{name}: {error.rstrip('.')}" for name, error in errors.items())
        answer["error"] = "; ".join(several if len(errors) > 1 else errors.values())
    return answer


def _active(backends: Sequence[Configured], members: Sequence[Member]) -> Member:
    name = active(backends).name
    return next(member for member in members if member.configured_as == name)


def _backend(
    member: Member, checked: Health, used: bool, several: bool, entries: Sequence[Entry]
) -> dict[str, Any]:
    owed = [entry for entry in entries if entry.owed_to == member.name]
    known = member.standing.known if several else None
    return {
        "name": member.name,
        "active": used,
        "priority": member.settings.priority,
        "url": member.place,
        "healthy": checked.healthy,
        "latency_ms": checked.latency_ms,
        "last_error": checked.error or (known.last_error if known else None),
        "last_failure": _seconds(known.last_failure if known else None),
        "last_success": _seconds(known.last_success if known else None),
        "breaker": member.standing.state if several else "closed",
        "owed_batches": len(owed),
        "owed_since": _moment(min((entry.at for entry in owed), default=None)),
        "free_bytes": member.settings.free_bytes() if checked.healthy else None,
        "held_batches": sum(entry.held_by == member.name for entry in entries),
    }


def _seconds(moment: float | None) -> str | None:
    return None if moment is None else _moment(datetime.fromtimestamp(moment, UTC))


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


_METRICS = {
    "healthy": ("gauge", "Whether the last round trip went well."),
    "latency_ms": ("gauge", "Milliseconds that it took."),
    "active": ("gauge", "Whether it is the one that is used."),
    "owed_batches": ("gauge", "Batches that it is owed and others hold."),
    "held_batches": ("gauge", "Batches that it holds for others."),
    "free_bytes": ("gauge", "Room that is left, where that is known."),
}


def prometheus(answer: Answer) -> str:
    """The health of every backend in the text format that Prometheus scrapes."""
    found = answer["health_status"]
    lines = []
    for key, (kind, meaning) in _METRICS.items():
        name = f"issuelake_backend_{key}"
        lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
        for backend in found["backends"]:
            if backend[key] is None:
                continue
            lines.append(f'{name}{{backend="{_label(backend["name"])}"}} {float(backend[key]):g}')
    lines += [
        "# HELP issuelake_errors_total Operations of this process that failed.",
        "# TYPE issuelake_errors_total counter",
        f"issuelake_errors_total {found['error_count']}",
    ]
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
