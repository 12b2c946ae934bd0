"""A storage for issuelake: one readable JSON file per run, in a folder that Git can follow.

runs/build-4711.5b2f0c9d1e7a4c38.json     a run, indented, keys sorted: a change is a few lines of a diff
.issuelake/                               what is neither run nor issue
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from hashlib import sha256
from pathlib import Path

import msgspec

from resources.backends.documents import DocumentBackend
from resources.errors import ConfigError, Vanished
from resources.files import LocalFiles

_RUNS = "runs"
_OURS = re.compile(r"\.[0-9a-f]{16}\.json$")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class GitFolder(DocumentBackend):
    """Runs in the folder `path`. Nothing is committed: when to do that is the repository's affair."""

    def __init__(self, path: str, indent: int = 2) -> None:
        super().__init__()
        if not 0 <= indent <= 8:
            raise ConfigError(f"git_folder: indent must be from 0 to 8, not {indent}.")
        root = Path(path).expanduser().absolute()
        self._root = root
        self._indent = indent
        self._documents = LocalFiles(str(root))
        self.files = LocalFiles(str(root / ".issuelake"))

    @property
    def url(self) -> str:
        return str(self._root)

    def load(self, run_ids: Collection[str] | None = None) -> Iterable[bytes]:
        paths = {entry.path for entry in self._documents.find(_RUNS) if entry.path.endswith(".json")}
        if run_ids is not None:
            # Files that people have put there may be called anything.
            paths = {p for p in paths if not _OURS.search(p)} | paths.intersection(map(_path, run_ids))
        return self._read(sorted(paths))

    def put(self, run_id: str, document: bytes) -> None:
        readable = msgspec.json.format(document, indent=self._indent) + b"\n"
        # Written beside, synced, renamed: whoever looks finds the old file or the new one.
        self._documents.publish(_path(run_id), readable, renew=True)

    def drop(self, run_id: str) -> None:
        self._documents.remove(_path(run_id))

    def _read(self, paths: Iterable[str]) -> Iterator[bytes]:
        for path in paths:
            try:
                yield self._documents.read(path)
            except Vanished:  # dropped since it was listed
                continue


def _path(run_id: str) -> str:
    """A file name that tells the run, and that no id can lead out of the folder."""
    readable = _UNSAFE.sub("-", run_id)[:60].strip("-.")
    return f"{_RUNS}/{readable or 'run'}.{sha256(run_id.encode()).hexdigest()[:16]}.json"
