"""Storage as the lake sees it: whole files, listed, read, published and removed.

`LocalFiles` works on a folder with nothing but the standard library, so a short command does not
pay for importing fsspec; `FsspecFiles` is any other fsspec storage. Publishing is the one step
that needs care: a reader must see a file whole or not at all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import traceback
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from resources.errors import StorageError, UsageError, Vanished
from resources.secrets import hide, secrets_in

if TYPE_CHECKING:
    import fsspec

OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})
"""Protocols whose put is atomic and can refuse to overwrite; the others publish by renaming."""

WITH_BUCKETS = OBJECT_STORES - {"memory"}
"""Protocols whose paths begin with a bucket, which somebody must have made."""

ONE_AT_A_TIME = {"sftp": None, "ssh": None, "ftp": None, "memory": threading.RLock()}
"""Protocols whose fsspec filesystem mixes up the answers to calls from several threads, and the lock
that all its instances share, if they share anything: paramiko and ftplib have one connection each,
and everyone who opens a file in memory gets the same file object."""

PARALLEL_CALLS = 32
CONNECTIONS = 128
"""So many requests can be under way at a time where a driver keeps a pool of connections."""

_LONGEST = 500
"""Characters of a driver's error; some append whole answers of the server."""

TEMPORARY_SUFFIX = ".part"
"""Never ends in `.parquet`, so no reader, ours or another engine's, takes it for data."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored file: path below the root, size in bytes, modification time in seconds since 1970."""

    path: str
    size: int
    modified: float


class Files(Protocol):
    """A folder of files on some storage. Paths are relative to the root, with forward slashes.

    Raises `StorageError`, or `Vanished` where a file that is asked for does not exist.
    """

    url: str
    """Where it is, without secrets."""

    def folders(self, path: str) -> list[str]:
        """Names of the folders right below `path`; none when `path` does not exist."""

    def find(self, path: str) -> list[Entry]:
        """Every file below `path`, at any depth; none when `path` does not exist."""

    def list_many(self, paths: Sequence[str]) -> list[Entry]:
        """Every file right in one of `paths`."""

    def read(self, path: str) -> bytes:
        """The whole file."""

    def publish(self, path: str, data: bytes, renew: bool = False) -> None:
        """Make the file appear whole.

        One that is there already has the same content: it stays, or with `renew` is replaced, so
        that its modification time says that somebody counts on it.
        """

    def remove(self, path: str) -> None:
        """Remove a file; one that is gone already is no error."""

    def sweep(self, before: float) -> None:
        """Remove what killed writers left half written and nobody has touched since `before`."""

    def paths(self, paths: Sequence[str]) -> list[str]:
        """Local file names that hold the files, fetched side by side where they are elsewhere."""


class LocalFiles:
    """A folder on this machine (or mounted on it)."""

    def __init__(self, root: str | Path) -> None:
        self.root = os.path.abspath(root)
        self.url = self.root

    def folders(self, path: str) -> list[str]:
        try:
            with os.scandir(self._full(path)) as entries:
                return [e.name for e in entries if e.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed("list", path, error) from error

    def find(self, path: str) -> list[Entry]:
        found = self.list_many([path])
        for folder in self.folders(path):
            found += self.find(f"{path}/{folder}")
        return found

    def list_many(self, paths: Sequence[str]) -> list[Entry]:
        found: list[Entry | None] = []
        for path in paths:
            try:
                with os.scandir(self._full(path)) as entries:
                    found += [self._entry(path, e) for e in entries if not e.name.endswith(TEMPORARY_SUFFIX)]
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._failed("list", path, error) from error
        return [entry for entry in found if entry is not None]

    def read(self, path: str) -> bytes:
        try:
            with open(self._full(path), "rb") as file:
                return file.read()
        except FileNotFoundError as error:
            raise Vanished(f"{path} is not in {self.url}: list again") from error
        except OSError as error:
            raise self._failed("read", path, error) from error

    def publish(self, path: str, data: bytes, renew: bool = False) -> None:
        target = self._full(path)
        if not renew and os.path.exists(target):
            return
        try:
            temporary = self._write_beside(target, data)
            self._rename(temporary, target)
        except OSError as error:
            raise self._failed("write", path, error) from error

    def remove(self, path: str) -> None:
        try:
            os.unlink(self._full(path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._failed("remove", path, error) from error

    def sweep(self, before: float) -> None:
        for folder, _, names in os.walk(self.root):
            for name in names:
                if name.endswith(TEMPORARY_SUFFIX):
                    with suppress(FileNotFoundError):
                        if os.stat(f"{folder}/{name}").st_mtime < before:
                            os.unlink(f"{folder}/{name}")

    def paths(self, paths: Sequence[str]) -> list[str]:
        return [self._full(path) for path in paths]

    def _entry(self, folder: str, e: os.DirEntry[str]) -> Entry | None:
        try:
            stat = None if e.is_dir() else e.stat()
        except FileNotFoundError:  # removed since the folder was read; the others in it still count
            return None
        return stat and Entry(f"{folder}/{e.name}", stat.st_size, stat.st_mtime)

    def _write_beside(self, target: str, data: bytes) -> str:
        """Write and sync `data` in a new file in the folder of `target`; its name."""
        folder = os.path.dirname(target)
        make_folders(folder)
        temporary = f"{folder}/.{os.urandom(8).hex()}{TEMPORARY_SUFFIX}"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with open(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            os.unlink(temporary)
            raise
        return temporary

    def _rename(self, temporary: str, target: str) -> None:
        try:
            os.rename(temporary, target)
        except OSError:
            os.unlink(temporary)
            raise
        sync_folder(os.path.dirname(target))

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _failed(self, verb: str, path: str, error: OSError) -> StorageError:
        return StorageError(f"Could not {verb} {path or '.'} in {self.url}: {error.strerror or error}.")


def make_folders(folder: str) -> None:
    """Make `folder` and those above it; their names, too, must survive a crash of the machine."""
    if not os.path.isdir(folder):
        parent = os.path.dirname(folder)
        make_folders(parent)
        os.makedirs(folder, exist_ok=True)
        sync_folder(parent)


def sync_folder(folder: str) -> None:
    """Make the names in `folder` survive a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class FsspecFiles:
    """A folder on any fsspec storage.

    With a `deadline`, in seconds, a call that a driver can give up is given up after it.
    """

    def __init__(
        self, url: str, storage_options: dict[str, Any] | None = None, deadline: float | None = None
    ) -> None:
        self.url = without_secrets(url)
        self._secrets = secrets_in({"url": url, "storage_options": storage_options or {}})
        self.fs, self.root = open_filesystem(url, storage_options)
        self._limit = {"timeout": deadline} if deadline and getattr(self.fs, "async_impl", False) else {}
        self._atomic_put = bool(OBJECT_STORES & set(protocols(self.fs)))
        self._with_bucket = bool(WITH_BUCKETS & set(protocols(self.fs)))
        self._bucket_found = not self._with_bucket
        self._fetched = tempfile.mkdtemp(prefix="issuelake-")
        weakref.finalize(self, shutil.rmtree, self._fetched, ignore_errors=True)

    def folders(self, path: str) -> list[str]:
        return [os.path.basename(e["name"].rstrip("/")) for e in self._ls(path) if e["type"] == "directory"]

    def find(self, path: str) -> list[Entry]:
        if not self._atomic_put:
            return self._walk(path)
        self.fs.invalidate_cache()
        try:
            found = self.fs.find(self._full(path), detail=True, **self._limit)
        except FileNotFoundError:
            found = {}
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
                self._bucket_found = not self._with_bucket
                self._need_bucket(())
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
        # Files are immutable and named by content, so one that was fetched before is still right.
        local = {path: os.path.join(self._fetched, path) for path in paths}
        missing = [path for path, name in local.items() if not os.path.exists(name)]
        for path, data in zip(missing, self._in_parallel(self.read, missing), strict=True):
            os.makedirs(os.path.dirname(local[path]), exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._fetched)
            with open(handle, "wb") as file:
                file.write(data)
            os.rename(temporary, local[path])
        return list(local.values())

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

    def _in_parallel(self, call: Any, paths: Sequence[str]) -> Iterable[Any]:
        with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
            return list(pool.map(call, paths))

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _entry(self, info: dict[str, Any]) -> Entry:
        name = info["name"].removeprefix("/" if not self.root.startswith("/") else "")
        return Entry(name[len(self.root) + 1 :], info["size"] or 0, modified_at(info))

    def _failed(self, verb: str, path: str, error: Exception) -> StorageError:
        if isinstance(error, StorageError):
            return error
        what = _told(error, self._secrets)
        if isinstance(error, TimeoutError) and self._limit:
            what = f"no answer within {self._limit['timeout']:g} s (timeout_seconds)"
        return StorageError(f"Could not {verb} {path or '.'} in {self.url}: {what}.")

    def _cause(self, error: Exception) -> Exception | None:
        """What a traceback may show of `error`: all of it, unless it tells a secret."""
        told = "".join(traceback.format_exception(error))
        return error if hide(told, self._secrets) == told else None


def open_files(url: str, storage_options: dict[str, Any] | None = None) -> Files:
    """The folder at `url`: a path, a `file://` URL or the URL of any fsspec storage.

    Raises `UsageError` or `StorageError`.
    """
    if "\0" in url:  # which the system's calls refuse in their own way
        raise UsageError(f"{without_secrets(url)!r} is not the name of a storage: it holds a NUL.")
    if "://" not in url:
        return LocalFiles(os.path.expanduser(url))
    if url.startswith(("file://", "local://")):
        return LocalFiles(url.split("://", 1)[1])
    return FsspecFiles(url, storage_options)


def open_filesystem(
    url: str, storage_options: dict[str, Any] | None = None
) -> tuple[fsspec.AbstractFileSystem, str]:
    """The fsspec filesystem of `url` and the path on it, listings never cached.

    Raises `UsageError` for a protocol that is unknown or whose package is not installed.
    """
    import fsspec
    from fsspec.core import url_to_fs

    protocol = url.split("://", 1)[0]
    if protocol == "pyhdfs":  # ours, which fsspec knows by itself only where issuelake is installed
        fsspec.register_implementation("pyhdfs", "resources.hdfs.HdfsFileSystem", clobber=True)
    options: dict[str, Any] = {"skip_instance_cache": True}
    if protocol in ("s3", "s3a"):  # botocore's own default is 10
        given = (storage_options or {}).get("config_kwargs", {})
        storage_options = (storage_options or {}) | {
            "config_kwargs": {"max_pool_connections": CONNECTIONS, **given}
        }
    if protocol not in ("sftp", "ssh"):  # hands every option on to paramiko; has no such cache
        options["use_listings_cache"] = False
    secrets = secrets_in({"url": url, "storage_options": storage_options or {}})
    if protocol in ("gs", "gcs") and (storage_options or {}).get("endpoint_url"):
        # Its newer filesystem asks Google about the bucket, for 90 s, before it writes to an emulator.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    try:
        fs, path = url_to_fs(url, **(options | (storage_options or {})))
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        install = f": pip install 'issuelake[{extra}]'" if extra else ""
        raise UsageError(
            f"{protocol}:// needs a package that is not installed{install} ({error})."
        ) from error
    except ValueError as error:
        if protocol in fsspec.available_protocols():
            raise _not_opened(url, error, secrets) from None
        known = ", ".join(sorted(fsspec.available_protocols()))
        raise UsageError(
            f"{protocol}:// is not a known storage ({hide(str(error), secrets)}); known are {known}."
        ) from None
    except Exception as error:
        raise _not_opened(url, error, secrets) from None
    for name in protocols(fs):
        if name in ONE_AT_A_TIME:
            return _OneAtATime(fs, ONE_AT_A_TIME[name] or threading.RLock()), path.rstrip("/")
    return fs, path.rstrip("/")


def _not_opened(url: str, error: Exception, secrets: frozenset[str]) -> StorageError:
    return StorageError(f"Could not open {without_secrets(url)}: {_told(error, secrets)}.")


def _told(error: Exception, secrets: frozenset[str]) -> str:
    """What a driver's error says, on one line, without secrets."""
    return hide(" ".join(f"{type(error).__name__}: {error}".split()), secrets)[:_LONGEST].rstrip(" .:")


class _OneAtATime:
    """A filesystem whose methods wait for each other."""

    def __init__(self, fs: fsspec.AbstractFileSystem, lock: threading.RLock) -> None:
        self._fs = fs
        self._lock = lock

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._fs, name)
        return _locked(value, self._lock) if callable(value) else value


def _locked(call: Callable[..., Any], lock: threading.RLock) -> Callable[..., Any]:
    @wraps(call)
    def waiting(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return call(*args, **kwargs)

    return waiting


EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "abfs": "azure",
    "abfss": "azure",
    "az": "azure",
    "gs": "gcs",
    "gcs": "gcs",
    "pyhdfs": "hdfs",
    "sftp": "sftp",
    "ssh": "sftp",
}
"""The extra that brings the driver of a protocol."""


def protocols(fs: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def without_secrets(url: str) -> str:
    """`url` without user name, password, query and fragment."""
    parts = urlsplit(url)
    if not parts.scheme or ("@" not in parts.netloc and not parts.query and not parts.fragment):
        return url
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def modified_at(info: dict[str, Any]) -> float:
    """The modification time in an fsspec listing, in seconds since 1970; 0 where it has none."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        moment = info.get(key)
        if isinstance(moment, int | float):
            return float(moment)
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        if isinstance(moment, datetime):
            return moment.timestamp()
    return 0.0
