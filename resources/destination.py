"""Where a finished file goes: a local path, a URL of any fsspec storage, or standard output.

A file is made whole before it goes anywhere, so that who looks there finds the old file or the new
one, never half of it, and a failure on the way leaves the old one alone.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from resources.errors import StorageError, UsageError
from resources.files import (
    OBJECT_STORES,
    TEMPORARY_SUFFIX,
    make_folders,
    open_filesystem,
    protocols,
    sync_folder,
)
from resources.secrets import secrets_in, told, without_secrets

STANDARD_OUTPUT = "-"

_UPLOADS_AT_A_TIME = 4
"""Parts of one upload to S3, each of 50 MB, that are held in memory; the driver's default is 10."""


class Destination(Protocol):
    """One place for one file, and for others beside it."""

    path: str
    """Where it is, without secrets."""

    def working_folder(self) -> Any:
        """A context with a new local folder (`Path`) to make the files in; it is removed at the end."""

    def publish(self, made: Path, suffix: str = "") -> None:
        """Make the file `made` of the working folder appear whole, in place of an older one.

        `suffix` is added to the name. Raises `StorageError`.
        """


def open_destination(path: str, storage_options: dict[str, Any] | None = None) -> Destination:
    """The place that `path` names. Raises `UsageError` for one that no file can be put at."""
    if path == STANDARD_OUTPUT:
        return _StandardOutput()
    if "://" in path and not path.startswith(("file://", "local://")):
        return _Remote(path, storage_options)
    return _Local(path.split("://", 1)[-1])


class _StandardOutput:
    path = STANDARD_OUTPUT

    @contextmanager
    def working_folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="issuelake-") as folder:
            yield Path(folder)

    def publish(self, made: Path, suffix: str = "") -> None:
        if suffix:
            raise UsageError("Standard output has no place beside it; write to a file instead.")
        with open(made, "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


class _Local:
    """Made in a hidden folder beside, synced, renamed."""

    def __init__(self, path: str) -> None:
        self.path = path
        # What a link leads to is replaced, not the link.
        self._target = os.path.realpath(os.path.expanduser(path))
        if os.path.isdir(self._target) or path.endswith(("/", os.sep)):
            raise UsageError(f"{path} is a folder; name the file to write.")
        if os.path.exists(self._target) and not stat.S_ISREG(os.stat(self._target).st_mode):
            raise UsageError(f"{path} is not a regular file; use - for standard output.")

    @contextmanager
    def working_folder(self) -> Iterator[Path]:
        parent = os.path.dirname(self._target)
        made = _missing(parent)
        working = f"{parent}/.{os.urandom(8).hex()}{TEMPORARY_SUFFIX}"
        try:
            try:
                make_folders(parent)
                os.mkdir(working)
            except OSError as error:
                raise self._failed(error) from error
            yield Path(working)
        finally:
            shutil.rmtree(working, ignore_errors=True)
            with suppress(OSError):  # it has the file now, or was not made
                for folder in made:
                    os.rmdir(folder)

    def publish(self, made: Path, suffix: str = "") -> None:
        target = self._target + suffix
        try:
            with open(made, "rb") as file:
                os.fsync(file.fileno())
            os.replace(made, target)
            sync_folder(os.path.dirname(target))
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> StorageError:
        return StorageError(f"Could not write {self.path}: {error.strerror or error}.")


class _Remote:
    """Object stores: one put, or an upload in parts that counts when it is complete. Others: put under
    a name of its own, then renamed."""

    def __init__(self, url: str, storage_options: dict[str, Any] | None) -> None:
        self.path = without_secrets(url)
        self._secrets = secrets_in({"url": url, "storage_options": storage_options or {}})
        self._fs, self._target = open_filesystem(url, storage_options)
        if not os.path.basename(self._target) or url.endswith("/"):
            raise UsageError(f"{self.path} is a folder; name the file to write.")
        names = set(protocols(self._fs))
        self._atomic_put = bool(OBJECT_STORES & names)
        self._options = {"max_concurrency": _UPLOADS_AT_A_TIME} if "s3" in names else {}

    @contextmanager
    def working_folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="issuelake-") as folder:
            yield Path(folder)

    def publish(self, made: Path, suffix: str = "") -> None:
        target = self._target + suffix
        try:
            if self._atomic_put:
                self._fs.put_file(str(made), target, **self._options)
            else:
                self._put_and_rename(made, target)
        except Exception as error:  # fsspec storages raise what their drivers raise
            raise StorageError(f"Could not write {self.path}: {told(error, self._secrets)}.") from None

    def _put_and_rename(self, made: Path, target: str) -> None:
        folder, name = target.rsplit("/", 1)
        temporary = f"{folder}/.{name}.{os.urandom(6).hex()}{TEMPORARY_SUFFIX}"
        if folder and not self._fs.isdir(folder):
            self._fs.makedirs(folder, exist_ok=True)
        try:
            self._fs.put_file(str(made), temporary)
            self._fs.mv(temporary, target)
            self._fs.invalidate_cache()
            if self._fs.exists(temporary):  # WebHDFS does not rename onto a file, and does not say so
                self._fs.rm_file(target)
                self._fs.mv(temporary, target)
                self._fs.invalidate_cache()
            if self._fs.size(target) != made.stat().st_size:
                raise OSError(f"what arrived as {name} is not as long as what was sent")
        finally:
            with suppress(Exception):
                self._fs.rm_file(temporary)


def _missing(folder: str) -> list[str]:
    """The folders on the way to `folder` that do not exist yet, the innermost first."""
    found = []
    while not os.path.isdir(folder):
        found.append(folder)
        folder = os.path.dirname(folder)
    return found
