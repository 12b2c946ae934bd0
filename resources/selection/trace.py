"""What an operation tried: which backends, in which order, how long, and why one was passed over."""

from __future__ import annotations

from typing import Literal

import msgspec

Outcome = Literal["used", "failed", "skipped"]


class Attempt(msgspec.Struct):
    """One backend in the course of an operation."""

    backend: str
    outcome: Outcome
    seconds: float
    """Spent with it, over all calls of the operation."""
    reason: str | None = None
    """Why it was passed over, or what of it could not be seen."""


class Trace:
    """The attempts of one operation, each backend once, in the order in which they were first tried."""

    def __init__(self, preferred: str) -> None:
        self.used = preferred
        """What the backend that answered last is configured as."""
        self._attempts: dict[str, Attempt] = {}

    @property
    def attempts(self) -> list[Attempt]:
        return list(self._attempts.values())

    def note(self, backend: str, outcome: Outcome, seconds: float = 0.0, reason: str | None = None) -> None:
        """Add to what is known of `backend`. A later call that merely skips it is no news."""
        known = self._attempts.get(backend)
        if known is None:
            self._attempts[backend] = Attempt(backend, outcome, round(seconds, 6), reason)
            return
        known.seconds = round(known.seconds + seconds, 6)
        if outcome != "skipped":
            known.outcome = outcome
            known.reason = reason or known.reason
