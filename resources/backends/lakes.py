"""Lakes in a folder, and at the URL of any fsspec storage."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from resources.backends.settings import DEADLINE, Seconds, Settings
from resources.errors import ConfigError
from resources.files import open_files
from resources.lake import Lake
from resources.secrets import without_secrets

DEFAULT_FOLDER = "lake"


class LocalFile(Settings, kw_only=True):
    """A lake in a local folder."""

    storage_path: str = DEFAULT_FOLDER
    backup_enabled: bool = True
    """Makes no difference: a lake overwrites no file, so there is nothing to keep a copy of."""
    timeout_seconds: Seconds | None = None
    """Only a folder on a file server needs one: a disk of this machine answers."""
    priority: int = 99

    def place(self) -> str:
        return os.path.abspath(self.storage_path)

    def open(self) -> Lake:
        if self.storage_path.endswith(".json"):
            raise ConfigError(
                "local_file.storage_path names a file; give the folder of a lake, and take an old history"
                " in by splitting it into run files."
            )
        return Lake(open_files(self.storage_path, deadline=self.timeout_seconds))


class Fsspec(Settings, kw_only=True):
    """A lake at the URL of any fsspec storage."""

    url: str
    storage_options: dict[str, Any] = msgspec.field(default_factory=dict)
    timeout_seconds: Seconds = DEADLINE
    priority: int = 4

    def place(self) -> str:
        return without_secrets(self.url)

    def open(self) -> Lake:
        return Lake(open_files(self.url, self.storage_options, self.timeout_seconds))
