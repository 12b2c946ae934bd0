"""A lake in a folder of a mounted file server."""

from __future__ import annotations

import os
from contextlib import suppress

from resources.backends.lakes import room_at
from resources.backends.settings import DEADLINE, LakeSettings, Seconds
from resources.deadline import within
from resources.errors import StorageError
from resources.files import MountedFiles
from resources.lake import Lake


class Nfs(LakeSettings, kw_only=True):
    """The folder `storage_path` of what is mounted at `mount_path`."""

    mount_path: str
    storage_path: str = "lake"
    backup_enabled: bool = True
    """Makes no difference: a lake overwrites no file, so there is nothing to keep a copy of."""
    timeout_seconds: Seconds = DEADLINE
    priority: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not os.path.isabs(self.mount_path) or "\0" in self.mount_path + self.storage_path:
            raise ValueError("mount_path must be an absolute path")
        if not is_below(self.place(), self.mount_path):
            raise ValueError("storage_path leads out of mount_path")

    def place(self) -> str:
        return os.path.normpath(os.path.join(self.mount_path, self.storage_path))

    def free_bytes(self) -> int | None:
        return room_at(self.place())

    def open(self) -> Lake:
        try:
            mounted = within(self.timeout_seconds, lambda: _is_mounted(self.mount_path))
        except OSError as error:
            raise StorageError(
                f"What is mounted at {self.mount_path} (nfs.mount_path) does not answer: {error}."
            ) from error
        if not mounted:
            # Runs stored below an empty mount point would be hidden once the server is back.
            raise StorageError(
                f"Nothing is mounted at {self.mount_path} (nfs.mount_path): mount it, or use local_file for"
                " a plain folder."
            )
        return self.lake(MountedFiles(self.place(), self.timeout_seconds))


def _is_mounted(path: str) -> bool:
    with suppress(FileNotFoundError, NotADirectoryError):
        os.stat(path)  # which says why, where `ismount` would say no
    return os.path.ismount(path)


def is_below(path: str, folder: str) -> bool:
    return os.path.commonpath([path, os.path.normpath(folder)]) == os.path.normpath(folder)
