"""Opening a storage by its URL."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from resources.deadline import within
from resources.errors import StorageError, UsageError
from resources.secrets import hide, secrets_in, told, without_secrets

if TYPE_CHECKING:
    import fsspec

ONE_AT_A_TIME = {"sftp": None, "ssh": None, "ftp": None, "memory": threading.RLock()}
"""Protocols whose fsspec filesystem mixes up the answers to calls from several threads, and the lock
that all its instances share, if they share anything: paramiko and ftplib have one connection each,
and everyone who opens a file in memory gets the same file object."""

CONNECTIONS = 128
"""So many requests can be under way at a time where a driver keeps a pool of connections."""


def open_filesystem(
    url: str, storage_options: dict[str, Any] | None = None, deadline: float | None = None
) -> tuple[fsspec.AbstractFileSystem, str]:
    """The fsspec filesystem of `url` and the path on it, listings never cached.

    With a `deadline`, in seconds, opening it and the calls of one that is not asynchronous (whose
    calls take a timeout themselves) are given up after it.
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

    def opened() -> tuple[fsspec.AbstractFileSystem, str]:
        found: tuple[fsspec.AbstractFileSystem, str] = url_to_fs(url, **(options | (storage_options or {})))
        return found

    try:
        fs, path = within(deadline, opened)
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
    locks = [ONE_AT_A_TIME[name] or threading.RLock() for name in protocols(fs) if name in ONE_AT_A_TIME]
    if locks or (deadline and not getattr(fs, "async_impl", False)):
        fs = _Guarded(fs, lambda: opened()[0], locks[0] if locks else nullcontext(), deadline)
    return fs, path.rstrip("/")


def _not_opened(url: str, error: Exception, secrets: frozenset[str]) -> StorageError:
    return StorageError(f"Could not open {without_secrets(url)}: {told(error, secrets)}.")


class _Guarded:
    """A filesystem whose methods wait for each other where they must, and are given up after `seconds`.

    A connection that gave no answer, or broke, may never be of use again: the next call opens another.
    """

    def __init__(
        self,
        fs: fsspec.AbstractFileSystem,
        reopen: Callable[[], fsspec.AbstractFileSystem],
        lock: AbstractContextManager[Any],
        seconds: float | None,
    ) -> None:
        self._fs = fs
        self._reopen = reopen
        self._lock = lock
        self._seconds = seconds
        self._broken = False
        self._given_up = 0

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._fs, name)
        asks_nobody = not callable(value) or name == "invalidate_cache"
        return value if asks_nobody else wraps(value)(partial(self._call, name))

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        given_up = self._given_up
        with self._lock:
            if given_up != self._given_up:  # those who waited meanwhile need not each find it out
                raise TimeoutError("another call got no answer in time (timeout_seconds)")
            try:
                return within(self._seconds, lambda: self._method(name)(*args, **kwargs))
            except Exception as error:
                self._given_up += isinstance(error, TimeoutError)
                self._broken |= _is_broken(error)
                raise

    def _method(self, name: str) -> Any:
        if self._broken:
            self._fs, self._broken = self._reopen(), False
        return getattr(self._fs, name)


def _is_broken(error: Exception) -> bool:
    """Whether `error` is of the connection and not of a file. paramiko's have neither type nor number."""
    return (
        isinstance(error, (TimeoutError, ConnectionError, EOFError))
        or (type(error) is OSError and error.errno is None)
        or type(error).__name__ == "SSHException"
    )


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
