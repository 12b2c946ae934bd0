"""Files of elsewhere, kept in a temporary folder for whoever can only open local ones."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Sequence

from resources.errors import StorageError


class Fetched:
    """What was fetched so far; it goes when the process ends, or nobody holds this any more."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="issuelake-")
        self._size = 0
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def names(self, paths: Sequence[str], read: Callable[[Sequence[str]], Iterable[bytes]]) -> list[str]:
        """Local names of the files at `paths`; `read` gives the contents of those that are missing."""
        # Files are immutable and named by content, so one that was fetched before is still right.
        local = {path: self._name(path) for path in paths}
        missing = [path for path, name in local.items() if not os.path.exists(name)]
        for path, data in zip(missing, read(missing), strict=True):
            os.makedirs(os.path.dirname(local[path]), exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._folder)
            with open(handle, "wb") as file:
                file.write(data)
            os.rename(temporary, local[path])
            self._size += len(data)
        return list(local.values())

    def trim(self, above: int) -> None:
        """Remove all of it once it takes more than `above` bytes; nobody may be reading it."""
        if self._size > above:
            for name in os.listdir(self._folder):
                path = os.path.join(self._folder, name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
            self._size = 0

    def _name(self, path: str) -> str:
        name = os.path.normpath(os.path.join(self._folder, path))
        if not name.startswith(self._folder + os.sep):  # whoever put it there meant no good
            raise StorageError(f"{path!r} leads out of the storage: it is not a file of a lake.")
        return name
