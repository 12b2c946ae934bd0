"""Opening a storage by its URL."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

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
    return StorageError(f"Could not open {without_secrets(url)}: {told(error, secrets)}.")


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
