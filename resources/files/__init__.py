"""Storage as the lake sees it; `LocalFiles` is a folder, `FsspecFiles` any other fsspec storage."""

from __future__ import annotations

import os
from typing import Any

from resources.errors import UsageError
from resources.files.local import LocalFiles, make_folders, sync_folder
from resources.files.model import TEMPORARY_SUFFIX, Entry, Files, modified_at
from resources.files.mounted import MountedFiles
from resources.files.opening import open_filesystem, protocols
from resources.files.remote import OBJECT_STORES, FsspecFiles
from resources.secrets import without_secrets

__all__ = [
    "OBJECT_STORES",
    "TEMPORARY_SUFFIX",
    "Entry",
    "Files",
    "FsspecFiles",
    "LocalFiles",
    "MountedFiles",
    "make_folders",
    "modified_at",
    "open_files",
    "open_filesystem",
    "protocols",
    "sync_folder",
]


def open_files(
    url: str, storage_options: dict[str, Any] | None = None, deadline: float | None = None
) -> Files:
    """The folder at `url`: a path, a `file://` URL or the URL of any fsspec storage.

    With a `deadline`, in seconds, calls that get no answer are given up after it.
    Raises `UsageError` or `StorageError`.
    """
    if "\0" in url:  # which the system's calls refuse in their own way
        raise UsageError(f"{without_secrets(url)!r} is not the name of a storage: it holds a NUL.")
    if "://" not in url:
        return _folder(os.path.expanduser(url), deadline)
    if url.startswith(("file://", "local://")):
        return _folder(url.split("://", 1)[1], deadline)
    return FsspecFiles(url, storage_options, deadline)


def _folder(path: str, deadline: float | None) -> LocalFiles:
    return MountedFiles(path, deadline) if deadline else LocalFiles(path)
