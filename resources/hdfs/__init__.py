"""HDFS over WebHDFS as an fsspec filesystem: `pyhdfs://namenode:9870,another:9870/path`."""

from __future__ import annotations

import posixpath
import shutil
from datetime import UTC, datetime
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.utils import stringify_path

from resources.hdfs.client import Client
from resources.hdfs.file import HdfsFile

PROTOCOL = "pyhdfs"
BUFFER = 8 * 2**20
"""Bytes that a file opened for writing or reading holds in memory."""


class HdfsFileSystem(AbstractFileSystem):
    """Files and folders that WebHDFS serves.

    Opened for writing, a file appears whole when it is closed; `mv` renames in one step and replaces
    a file that is there. Raises `OSError` of the kind that the system would raise.
    """

    protocol = PROTOCOL
    root_marker = "/"
    blocksize = BUFFER

    def __init__(
        self,
        host: str = "",
        user: str | None = None,
        scheme: str = "http",
        replication: int | None = None,
        block_size: int | None = None,
        timeout: float = 20,
        **storage_options: Any,
    ) -> None:
        """`host`: the web servers of the NameNodes, `host:port` joined by commas; `scheme`: http or
        https; `block_size` in bytes and `replication` of new files, else the server's own; `timeout`
        in seconds, of each call and of waiting for an active NameNode."""
        super().__init__(**storage_options)
        if not host:
            raise OSError(f"no NameNode is named; write {PROTOCOL}://host:port/path")
        self.host = host
        self.client = Client(host, user, scheme, timeout)
        given = {"replication": replication, "blocksize": block_size}
        self.of_new_files = {key: value for key, value in given.items() if value is not None}

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        path = stringify_path(path)
        if path.startswith(f"{PROTOCOL}://"):
            path = path.removeprefix(f"{PROTOCOL}://").partition("/")[2]
        return "/" + path.strip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        place = path.removeprefix(f"{PROTOCOL}://").partition("/")[0] if "://" in path else ""
        user, _, host = place.rpartition("@")
        return {key: value for key, value in (("host", host), ("user", user)) if value}

    def unstrip_protocol(self, name: str) -> str:
        return f"{PROTOCOL}://{self.host}{self._strip_protocol(name)}"

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        found = [_entry(posixpath.join(path, s.pathSuffix), s) for s in self.client.list_status(path)]
        if len(found) == 1 and found[0]["name"] == f"{path}/":  # the path is that of a file
            found[0]["name"] = path
        return found if detail else [entry["name"] for entry in found]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        return _entry(path, self.client.get_file_status(path))

    def exists(self, path: str, **_: Any) -> bool:
        return self._type(path) is not None

    def isdir(self, path: str) -> bool:
        return self._type(path) == "directory"

    def isfile(self, path: str) -> bool:
        return self._type(path) == "file"

    def modified(self, path: str) -> datetime:
        return datetime.fromtimestamp(self.info(path)["mtime"], UTC)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        path = self._strip_protocol(path)
        if self.exists(path):
            raise FileExistsError(path)
        if not create_parents and not self.isdir(self._parent(path)):
            raise FileNotFoundError(self._parent(path))
        self.client.mkdirs(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        path = self._strip_protocol(path)
        if not exist_ok and self.exists(path):
            raise FileExistsError(path)
        self.client.mkdirs(path)

    def rmdir(self, path: str) -> None:
        path = self._strip_protocol(path)
        if self.isfile(path):
            raise NotADirectoryError(path)
        self._delete(path)

    def rm_file(self, path: str) -> None:
        self._delete(self._strip_protocol(path))

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        if not recursive or maxdepth is not None:
            super().rm(path, recursive, maxdepth)
            return
        for each in self.expand_path(path):
            self._delete(each, recursive="true")

    def mv(self, path1: str, path2: str, **_: Any) -> None:
        """Rename `path1` to just `path2`, or into it where it ends in a slash."""
        source, into = self._strip_protocol(path1), path2.endswith("/")
        target = self._strip_protocol(path2)
        self.client.move(source, posixpath.join(target, posixpath.basename(source)) if into else target)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Copy through this machine, since WebHDFS cannot copy."""
        if self.isdir(path1):
            self.makedirs(path2, exist_ok=True)
            return
        with self.open(path1, "rb") as source, self.open(path2, "wb") as target:
            shutil.copyfileobj(source, target, BUFFER)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        path = self._strip_protocol(path)
        if not start and end is None:
            return self.client.read(path)
        first, last, _step = slice(start, end).indices(self.info(path)["size"])
        return self.client.read(path, first, last - first) if last > first else b""

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        self.client.write(self._strip_protocol(path), value, mode != "create", **self.of_new_files)

    def created(self, path: str) -> datetime:
        raise NotImplementedError("HDFS does not know when a file was made")

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> HdfsFile:
        if "x" in mode and self.exists(path):
            raise FileExistsError(path)
        return HdfsFile(self, path, mode, block_size or BUFFER, **options)

    def _type(self, path: str) -> Any:
        try:
            return self.info(path)["type"]
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _delete(self, path: str, **options: str) -> None:
        if not self.client.delete(path, **options):
            raise FileNotFoundError(path)


def _entry(path: str, status: Any) -> dict[str, Any]:
    return {
        "name": path,
        "size": status.length,
        "type": {"FILE": "file", "DIRECTORY": "directory"}.get(status.type, "other"),
        "mtime": status.modificationTime / 1000,
        "owner": status.owner,
        "group": status.group,
        "permission": status.permission,
        "replication": status.replication,
        "block_size": status.blockSize,
    }
