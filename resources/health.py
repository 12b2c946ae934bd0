"""Is a lake's storage well? A real round trip says."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from resources.errors import IssuelakeError
from resources.files import Files

_FOLDER = "health"


@dataclass(frozen=True, slots=True)
class Health:
    """One check: whether it went well, its latency in milliseconds, and what went wrong."""

    healthy: bool
    latency_ms: float
    error: str | None = None


def check(files: Files) -> Health:
    """Write a small file, read it back, compare, remove it."""
    started = time.perf_counter()
    content = os.urandom(64)
    path = f"{_FOLDER}/{content[:8].hex()}.probe"
    error = None
    try:
        files.publish(path, content)
        if files.read(path) != content:
            error = f"{files.url} gave back other bytes than were written."
        files.remove(path)
    except IssuelakeError as failure:
        error = str(failure)
    return Health(error is None, round((time.perf_counter() - started) * 1000, 3), error)
