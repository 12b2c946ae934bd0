"""How each backend stands: a circuit breaker that outlives the process.

A backend whose call failed is not asked again for its `health_check_interval`. Then one caller
looks whether it is well, by a round trip with a deadline, while the others still pass it over; if
so, it is used again. One that only refuses what is written (its disk is full, say) is still read. What
is known lies beside the ledger, so that the next command need not find out anew that a server hangs.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Literal
from urllib.parse import quote

import msgspec

from resources.errors import StorageError
from resources.files import Files

FOLDER = "standing"
_REMEMBER_SUCCESS_EVERY = 60.0
"""Seconds. Writing every success down would make each operation wait for the disk."""

State = Literal["closed", "open", "half_open"]


class Known(msgspec.Struct, omit_defaults=True):
    """What is kept of one backend. Moments are seconds since 1970."""

    failures: int = 0
    """In a row; 0 where it is well."""
    readable: bool = False
    """Whether all that failed were writes, each refused at once. Says nothing where it is well."""
    last_success: float | None = None
    last_failure: float | None = None
    last_error: str | None = None


class Standing:
    """How the backend `name` stands, as far as is known, shared by all threads of the process."""

    def __init__(self, name: str, interval: float, files: Files) -> None:
        self._path = f"{FOLDER}/{quote(name, safe='')}.json"
        self._interval = interval
        self._files = files
        self._lock = threading.Lock()
        self._looking = False
        self._written = 0.0
        self._kept = False
        self.known = self._read()

    @property
    def state(self) -> State:
        """The breaker's: `half_open` is one that may be looked at again."""
        if not self.known.failures:
            return "closed"
        return "half_open" if self._rested() else "open"

    def may_be_used(self) -> bool:
        return not self.known.failures

    def may_be_read(self) -> bool:
        return not self.known.failures or self.known.readable

    def may_be_looked_at(self) -> bool:
        """Whether the caller should look now if it is well; true for one caller at a time, who must
        then say `succeeded` or `failed`."""
        with self._lock:
            if self._looking or not self._rested():
                return False
            self._looking = True
            return True

    def succeeded(self) -> None:
        now = time.time()
        with self._lock:
            back = bool(self.known.failures)
            self._looking = False
            self.known.failures = 0
            self.known.last_success = now
            # One that never failed leaves no trace, nor a folder where there was none.
            if back or (self._kept and now - self._written > _REMEMBER_SUCCESS_EVERY):
                self._write()

    def failed(self, reason: str, readable: bool = False) -> None:
        """`readable` says that it refused a write, which tells nothing of what is read."""
        with self._lock:
            self._looking = False
            self.known.readable = readable and self.may_be_read()
            self.known.failures += 1
            self.known.last_failure = time.time()
            self.known.last_error = reason
            self._write()

    def why_not(self) -> str:
        """Why it is passed over."""
        ago = time.time() - (self.known.last_failure or 0.0)
        left_alone = f"it failed {ago:.0f} s ago and is left alone for {self._interval:g} s"
        return f"{left_alone}: {self.known.last_error}"

    def _rested(self) -> bool:
        # A clock that was set back must not keep a backend out for long.
        return abs(time.time() - (self.known.last_failure or 0.0)) >= self._interval

    def _read(self) -> Known:
        try:
            raw = self._files.read(self._path)
            self._kept, self._written = True, time.time()
            return msgspec.json.decode(raw, type=Known)
        except (StorageError, msgspec.DecodeError):  # nothing is known yet, or no longer
            return Known()

    def _write(self) -> None:
        # Without it the next process asks the backend itself, which is slower and not wrong.
        with suppress(StorageError):
            self._files.publish(self._path, msgspec.json.encode(self.known), renew=True)
        self._kept, self._written = True, time.time()
