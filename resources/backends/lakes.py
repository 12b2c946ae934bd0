"""Lakes in a folder, and at the URL of any fsspec storage."""

from __future__ import annotations

import os
import shutil
from typing import Any

import msgspec

from resources.backends.settings import DEADLINE, LakeSettings, MaxHistory, Seconds
from resources.files import open_files
from resources.lake import Lake
from resources.secrets import without_secrets

DEFAULT_FOLDER = "lake"
HISTORY_SUFFIX, LAKE_SUFFIX = ".json", ".lake"
"""A path that ends in the first names an old history, and stands for the lake beside it."""


class LocalFile(LakeSettings, kw_only=True):
    """A lake in a local folder, or beside the single file that the plugin once kept its runs in."""

    storage_path: str = DEFAULT_FOLDER
    backup_enabled: bool = True
    """Makes no difference: a lake overwrites no file, so there is nothing to keep a copy of."""
    timeout_seconds: Seconds | None = None
    """Only a folder on a file server needs one: a disk of this machine answers."""
    max_history: MaxHistory = 100
    priority: int = 99

    def place(self) -> str:
        return os.path.abspath(self.storage_path)

    def free_bytes(self) -> int | None:
        return room_at(self.place())

    def open(self) -> Lake:
        path = os.path.expanduser(self.storage_path)
        if path.endswith(HISTORY_SUFFIX) and not os.path.isdir(path):
            folder = path.removesuffix(HISTORY_SUFFIX) + LAKE_SUFFIX
            return self.lake(open_files(folder, deadline=self.timeout_seconds), os.path.abspath(path))
        return self.lake(open_files(self.storage_path, deadline=self.timeout_seconds))


def room_at(path: str) -> int | None:
    """The bytes that are left where `path` is, or is to be."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free


class Fsspec(LakeSettings, kw_only=True):
    """A lake at the URL of any fsspec storage."""

    url: str
    storage_options: dict[str, Any] = msgspec.field(default_factory=dict)
    timeout_seconds: Seconds = DEADLINE
    priority: int = 4

    def place(self) -> str:
        return without_secrets(self.url)

    def open(self) -> Lake:
        return self.lake(open_files(self.url, self.storage_options, self.timeout_seconds))
