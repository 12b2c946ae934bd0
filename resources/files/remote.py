"""A folder on any fsspec storage. Publishing is the one step that needs care: a reader must see a file
whole or not at all."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from resources.deadline import heard
from resources.errors import StorageError, Vanished
from resources.files.fetched import Fetched
from resources.files.model import TEMPORARY_SUFFIX, Entry, modified_at
from resources.files.opening import open_filesystem, protocols
from resources.secrets import hide, secrets_in, told, without_secrets

T = TypeVar("T")

OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})
"""Protocols whose put is atomic and can refuse to overwrite; the others publish by renaming."""

WITH_BUCKETS = OBJECT_STORES - {"memory"}
"""Protocols whose paths begin with a bucket, which somebody must have made."""

PARALLEL_CALLS = 32


class FsspecFiles:
    """A folder on any fsspec storage.

    With a `deadline`, in seconds, a call is given up after it.
    """

    key = None

    def __init__(
        self, url: str, storage_options: dict[str, Any] | None = None, deadline: float | None = None
    ) -> None:
        self.url = without_secrets(url)
        self._secrets = secrets_in({"url": url, "storage_options": storage_options or {}})
        self.fs, self.root = open_filesystem(url, storage_options, deadline)
        self._limit = {"timeout": deadline} if deadline and getattr(self.fs, "async_impl", False) else {}
        self._atomic_put = bool(OBJECT_STORES & set(protocols(self.fs)))
        self._with_bucket = bool(WITH_BUCKETS & set(protocols(self.fs)))
        self._bucket_found = not self._with_bucket
        self._fetched = Fetched()

    def folders(self, path: str) -> list[str]:
        found = [os.path.basename(e["name"].rstrip("/")) for e in self._ls(path) if e["type"] == "directory"]
        if not found:
            self._doubt_bucket()
        return found

    def find(self, path: str) -> list[Entry]:
        if not self._atomic_put:
            return self._walk(path)
        self.fs.invalidate_cache()
        try:
            found = self.fs.find(self._full(path), detail=True, **self._limit)
        except FileNotFoundError:  # where it is the folder that is missing, most stores find nothing in it
            found = {}
            self._doubt_bucket()
        except Exception as error:  # fsspec storages raise what their drivers raise
            raise self._failed("list", path, error) from self._cause(error)
        self._need_bucket(found)
        # Some stores keep an object for a folder, and list that of `path` itself.
        below = (self._entry(e) for e in found.values() if e["type"] == "file")
        return [
            e for e in below if e.path.startswith(f"{path}/") and not e.path.endswith(("/", TEMPORARY_SUFFIX))
        ]

    def list_many(self, paths: Sequence[str]) -> list[Entry]:
        found = [e for entries in self._in_parallel(self._ls, paths) for e in entries]
        return [
            self._entry(e) for e in found if e["type"] == "file" and not e["name"].endswith(TEMPORARY_SUFFIX)
        ]

    def read(self, path: str) -> bytes:
        try:
            return bytes(self.fs.cat_file(self._full(path), **self._limit))
        except FileNotFoundError as error:
            raise Vanished(f"{path} is not in {self.url}: list again") from self._cause(error)
        except Exception as error:
            raise self._failed("read", path, error) from self._cause(error)

    def publish(self, path: str, data: bytes, renew: bool = False) -> None:
        try:
            if self._atomic_put and renew:
                self.fs.pipe_file(self._full(path), data, **self._limit)
            elif self._atomic_put:
                self._put(self._full(path), data)
            elif renew or not self.fs.exists(self._full(path)):
                self._write_and_rename(self._full(path), data)
        except Exception as error:
            if "NotFound" in type(error).__name__ or isinstance(error, PermissionError):
                # Each driver has its own "not found", and not every store tells whom it does not let in.
                self._doubt_bucket()
            raise self._failed("write", path, error) from self._cause(error)

    def remove(self, path: str) -> None:
        try:
            self.fs.rm_file(self._full(path), **self._limit)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed("remove", path, error) from self._cause(error)

    def sweep(self, before: float) -> None:
        if not self._atomic_put:
            for entry in self._walk("", temporary=True):
                if entry.modified < before:
                    self.remove(entry.path)

    def paths(self, paths: Sequence[str]) -> list[str]:
        return self._fetched.names(paths, lambda missing: self._in_parallel(self.read, missing))

    def using(self, work: Callable[[], T]) -> T:
        return self._fetched.using(work)

    def _put(self, full: str, data: bytes) -> None:
        try:
            self.fs.pipe_file(full, data, mode="create", **self._limit)
        except FileExistsError:
            return
        except (TimeoutError, ConnectionError):
            raise
        except OSError:
            # Some stores' "precondition failed" arrives as EINVAL: what counts is that it is there.
            self.fs.invalidate_cache()
            if not self.fs.exists(full, **self._limit):
                raise

    def _write_and_rename(self, full: str, data: bytes) -> None:
        folder, name = full.rsplit("/", 1)
        temporary = f"{folder}/.{name}.{os.urandom(6).hex()}{TEMPORARY_SUFFIX}"
        self._make_folders(folder)
        self.fs.pipe_file(temporary, data)
        try:
            self.fs.mv(temporary, full)
        except Exception:
            self.fs.invalidate_cache()
            if not self.fs.exists(full):  # another writer may have been first with the same content
                raise
        self.fs.invalidate_cache()
        if not self.fs.exists(full):  # WebHDFS answers a failed rename without raising
            raise OSError(f"renaming to {name} had no effect")

    def _make_folders(self, folder: str) -> None:
        """Make `folder` and those above it, level by level, since others may be making them too."""
        if not folder or self.fs.isdir(folder):
            return
        self._make_folders(folder.rpartition("/")[0])
        try:
            self.fs.mkdir(folder, create_parents=False)
        except Exception:
            if not self.fs.isdir(folder):  # so it was not that another writer came first
                raise

    def _walk(self, path: str, temporary: bool = False) -> list[Entry]:
        """What `find` answers, for filesystems whose own `find` takes an error for an empty folder."""
        found = []
        for e in self._ls(path):
            if e["type"] == "directory":
                found += self._walk(self._entry(e).path, temporary)
            elif e["type"] == "file" and e["name"].endswith(TEMPORARY_SUFFIX) == temporary:
                found.append(self._entry(e))
        return found

    def _ls(self, path: str) -> list[dict[str, Any]]:
        self.fs.invalidate_cache()
        try:
            found = list(self.fs.ls(self._full(path), detail=True, **self._limit))
        except FileNotFoundError:
            found = []
        except Exception as error:
            raise self._failed("list", path, error) from self._cause(error)
        self._need_bucket(found)
        return found

    def _need_bucket(self, found: Any) -> None:
        """Nothing in a bucket, and no bucket, look the same in a listing: only the first is all right."""
        if self._bucket_found or found:
            self._bucket_found = True
            return
        bucket = self.root.split("/", 1)[0]
        try:
            self._bucket_found = bool(self.fs.exists(bucket, **self._limit))
        except Exception:  # who may list need not be allowed to ask for the bucket itself
            self._bucket_found = True
        if not self._bucket_found:
            raise StorageError(f"There is no {bucket} for {self.url}: create the bucket or correct its name.")

    def _doubt_bucket(self) -> None:
        """Look anew: it may have been deleted since, and must not pass for an empty lake."""
        self._bucket_found = not self._with_bucket
        self._need_bucket(())

    def _in_parallel(self, call: Any, paths: Sequence[str]) -> Iterable[Any]:
        with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
            found = []
            for answer in pool.map(call, paths):
                found.append(answer)
                if self._limit:
                    heard()
            return found

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _entry(self, info: dict[str, Any]) -> Entry:
        name = info["name"].removeprefix("/" if not self.root.startswith("/") else "")
        return Entry(name[len(self.root) + 1 :], info["size"] or 0, modified_at(info))

    def _failed(self, verb: str, path: str, error: Exception) -> StorageError:
        if isinstance(error, StorageError):
            return error
        what = told(error, self._secrets)
        if isinstance(error, TimeoutError) and self._limit:
            what = f"no answer within {self._limit['timeout']:g} s (timeout_seconds)"
        return StorageError(f"Could not {verb} {path or '.'} in {self.url}: {what}.")

    def _cause(self, error: Exception) -> Exception | None:
        """What a traceback may show of `error`: all of it, unless it tells a secret."""
        told = "".join(traceback.format_exception(error))
        return error if hide(told, self._secrets) == told else None
