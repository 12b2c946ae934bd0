"""Storage as the lake sees it: whole files, listed, read, published and removed.

`LocalFiles` works on a folder with nothing but the standard library, so a short command does not
pay for importing fsspec; `FsspecFiles` is any other fsspec storage. Publishing is the one step
that needs care: a reader must see a file whole or not at all.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from resources.errors import StorageError, UsageError, Vanished

if TYPE_CHECKING:
    import fsspec

OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})
"""Protocols whose put is atomic and can refuse to overwrite; the others publish by renaming."""

PARALLEL_CALLS = 32
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
        found = []
        for path in paths:
            try:
                with os.scandir(self._full(path)) as entries:
                    for e in entries:
                        if not e.is_dir() and not e.name.endswith(TEMPORARY_SUFFIX):
                            stat = e.stat()
                            found.append(Entry(f"{path}/{e.name}", stat.st_size, stat.st_mtime))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._failed("list", path, error) from error
        return found

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

    def paths(self, paths: Sequence[str]) -> list[str]:
        return [self._full(path) for path in paths]

    def _write_beside(self, target: str, data: bytes) -> str:
        """Write and sync `data` in a new file in the folder of `target`; its name."""
        folder = os.path.dirname(target)
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(TEMPORARY_SUFFIX, ".", folder)
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
        os.chmod(temporary, 0o666 & ~_umask())
        os.rename(temporary, target)
        folder = os.open(os.path.dirname(target), os.O_RDONLY)
        try:
            os.fsync(folder)  # the name, too, must survive a crash of the machine
        finally:
            os.close(folder)

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _failed(self, verb: str, path: str, error: OSError) -> StorageError:
        return StorageError(f"Could not {verb} {path or '.'} in {self.url}: {error.strerror or error}.")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


class FsspecFiles:
    """A folder on any fsspec storage."""

    def __init__(self, url: str, storage_options: dict[str, Any] | None = None) -> None:
        self.url = without_secrets(url)
        self.fs, self.root = open_filesystem(url, storage_options)
        self._atomic_put = bool(OBJECT_STORES & set(_protocols(self.fs)))
        self._fetched = tempfile.TemporaryDirectory(prefix="issuelake-")

    def folders(self, path: str) -> list[str]:
        return [os.path.basename(e["name"].rstrip("/")) for e in self._ls(path) if e["type"] == "directory"]

    def find(self, path: str) -> list[Entry]:
        self.fs.invalidate_cache()
        try:
            found = self.fs.find(self._full(path), detail=True)
        except FileNotFoundError:
            return []
        except Exception as error:  # fsspec storages raise what their drivers raise
            raise self._failed("list", path, error) from error
        return [self._entry(e) for e in found.values() if not e["name"].endswith(TEMPORARY_SUFFIX)]

    def list_many(self, paths: Sequence[str]) -> list[Entry]:
        found = [e for entries in self._in_parallel(self._ls, paths) for e in entries]
        return [
            self._entry(e) for e in found if e["type"] == "file" and not e["name"].endswith(TEMPORARY_SUFFIX)
        ]

    def read(self, path: str) -> bytes:
        try:
            return bytes(self.fs.cat_file(self._full(path)))
        except FileNotFoundError as error:
            raise Vanished(f"{path} is not in {self.url}: list again") from error
        except Exception as error:
            raise self._failed("read", path, error) from error

    def publish(self, path: str, data: bytes, renew: bool = False) -> None:
        try:
            if self._atomic_put and renew:
                self.fs.pipe_file(self._full(path), data)
            elif self._atomic_put:
                self._put(self._full(path), data)
            elif not self.fs.exists(self._full(path)):
                self._write_and_rename(self._full(path), data)
        except Exception as error:
            raise self._failed("write", path, error) from error

    def remove(self, path: str) -> None:
        try:
            self.fs.rm_file(self._full(path))
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed("remove", path, error) from error

    def paths(self, paths: Sequence[str]) -> list[str]:
        # Files are immutable and named by content, so one that was fetched before is still right.
        local = {path: os.path.join(self._fetched.name, path) for path in paths}
        missing = [path for path, name in local.items() if not os.path.exists(name)]
        for path, data in zip(missing, self._in_parallel(self.read, missing), strict=True):
            os.makedirs(os.path.dirname(local[path]), exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._fetched.name)
            with open(handle, "wb") as file:
                file.write(data)
            os.rename(temporary, local[path])
        return list(local.values())

    def _put(self, full: str, data: bytes) -> None:
        try:
            self.fs.pipe_file(full, data, mode="create")
        except FileExistsError:
            return
        except OSError:
            # Some stores' "precondition failed" arrives as EINVAL: what counts is that it is there.
            self.fs.invalidate_cache()
            if not self.fs.exists(full):
                raise

    def _write_and_rename(self, full: str, data: bytes) -> None:
        folder, name = full.rsplit("/", 1)
        temporary = f"{folder}/.{name}.{os.urandom(6).hex()}{TEMPORARY_SUFFIX}"
        self.fs.makedirs(folder, exist_ok=True)
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

    def _ls(self, path: str) -> list[dict[str, Any]]:
        try:
            return list(self.fs.ls(self._full(path), detail=True, refresh=True))
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self._failed("list", path, error) from error

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
        return StorageError(f"Could not {verb} {path or '.'} in {self.url}: {type(error).__name__}: {error}.")


def open_files(url: str, storage_options: dict[str, Any] | None = None) -> Files:
    """The folder at `url`: a path, a `file://` URL or the URL of any fsspec storage."""
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
    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    try:
        fs, path = url_to_fs(url, **options, **(storage_options or {}))
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        install = f": pip install 'issuelake[{extra}]'" if extra else ""
        raise UsageError(
            f"{protocol}:// needs a package that is not installed{install} ({error})."
        ) from error
    except ValueError as error:
        known = ", ".join(sorted(fsspec.available_protocols()))
        raise UsageError(f"{protocol}:// is not a known storage ({error}); known are {known}.") from error
    except Exception as error:
        raise StorageError(
            f"Could not open {without_secrets(url)}: {type(error).__name__}: {error}."
        ) from error
    return fs, path.rstrip("/")


EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "abfs": "azure",
    "abfss": "azure",
    "az": "azure",
    "gs": "gcs",
    "gcs": "gcs",
    "sftp": "sftp",
    "ssh": "sftp",
}
"""The extra that brings the driver of a protocol."""


def _protocols(fs: fsspec.AbstractFileSystem) -> tuple[str, ...]:
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
