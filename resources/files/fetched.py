"""Files of elsewhere, kept in a temporary folder for whoever can only open local ones."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import TypeVar

from resources.errors import StorageError

T = TypeVar("T")

KEPT = 4 * 2**30
"""So many bytes are kept of what nobody uses at the moment."""

_HELD: ContextVar[dict[int, list[str]] | None] = ContextVar("held", default=None)
"""What the `using` that runs here has been given, by the `Fetched` that gave it."""


class Fetched:
    """What was fetched so far, of which the least recently used goes when it becomes too much; all of
    it goes when the process ends, or nobody holds this any more."""

    def __init__(self, kept: int | None = None) -> None:
        """`kept`: bytes that may stay here unused, `KEPT` unless given."""
        self._folder = tempfile.mkdtemp(prefix="issuelake-")
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._kept = KEPT if kept is None else kept
        self._sizes: dict[str, int] = {}  # the least recently used first
        self._users: Counter[str] = Counter()
        self._lock = threading.Lock()

    def using(self, work: Callable[[], T]) -> T:
        """What `work` answers; what `names` gives it meanwhile stays until then."""
        held: list[str] = []
        before = _HELD.set({**(_HELD.get() or {}), id(self): held})
        try:
            return work()
        finally:
            _HELD.reset(before)
            with self._lock:
                self._users -= Counter(held)
                self._evict()

    def names(self, paths: Sequence[str], read: Callable[[Sequence[str]], Iterable[bytes]]) -> list[str]:
        """Local names of the files at `paths`; `read` gives the contents of those that are missing.

        Outside of any `using` they stay for good.
        """
        # Files are immutable and named by content, so one that was fetched before is still right.
        local = {path: self._name(path) for path in paths}
        self._hold(list(local.values()))
        missing = [path for path, name in local.items() if not os.path.exists(name)]
        for path, data in zip(missing, read(missing), strict=True):
            os.makedirs(os.path.dirname(local[path]), exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._folder)
            with open(handle, "wb") as file:
                file.write(data)
            os.rename(temporary, local[path])
            with self._lock:
                self._sizes[local[path]] = len(data)
        with self._lock:
            self._evict()
        return list(local.values())

    def _hold(self, names: list[str]) -> None:
        with self._lock:
            self._users.update(names)
            for name in names:
                if name in self._sizes:
                    self._sizes[name] = self._sizes.pop(name)
        held = (_HELD.get() or {}).get(id(self))
        if held is not None:
            held += names

    def _evict(self) -> None:
        """Remove what nobody uses while it is too much."""
        unused = [name for name in self._sizes if name not in self._users]
        excess = sum(map(self._sizes.__getitem__, unused)) - self._kept
        for name in unused:
            if excess <= 0:
                return
            excess -= self._sizes.pop(name)
            with suppress(FileNotFoundError):  # whoever tidies temporary folders was first
                os.unlink(name)

    def _name(self, path: str) -> str:
        name = os.path.normpath(os.path.join(self._folder, path))
        if not name.startswith(self._folder + os.sep):  # whoever put it there meant no good
            raise StorageError(f"{path!r} leads out of the storage: it is not a file of a lake.")
        return name
