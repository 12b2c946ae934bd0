"""A lake in HDFS."""

from __future__ import annotations

import re

from resources.backends.settings import LakeSettings, Seconds
from resources.errors import ConfigError
from resources.files import FsspecFiles
from resources.lake import Lake

SCHEMES = {"hdfs": "http", "http": "http", "https": "https"}
"""How WebHDFS is spoken to, by what `namenode_url` begins with."""
RPC_PORTS = ("8020", "9000")
WEB_PORTS = {"http": ("9870", "50070"), "https": ("9871", "50470")}
"""Those of Hadoop 3 and 2, unless configured otherwise."""
COMPRESSION = "zstd"
UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}


class Hdfs(LakeSettings, kw_only=True):
    """A lake in HDFS, over WebHDFS."""

    namenode_url: str
    hdfs_path: str = "/issuelake"
    user: str | None = None
    replication_factor: int | None = None
    block_size: int | str | None = None
    compression: str = COMPRESSION
    timeout_seconds: Seconds = 20
    priority: int = 4

    def place(self) -> str:
        return f"pyhdfs://{','.join(self._web()[1])}{self._path()}"

    def open(self) -> Lake:
        if self.compression != COMPRESSION:
            raise ConfigError(
                f"hdfs.compression: {self.compression!r} is not {COMPRESSION}, which is what a lake's Parquet"
                " files are compressed by inside; a second compression around them would keep every"
                " engine from reading them."
            )
        if self.replication_factor is not None and self.replication_factor <= 0:
            raise ConfigError(f"hdfs.replication_factor must be above 0, not {self.replication_factor}.")
        scheme, _ = self._web()
        given = {
            "user": self.user,
            "scheme": scheme,
            "replication": self.replication_factor,
            "block_size": self._block_size(),
            "timeout": self.timeout_seconds,
        }
        return self.lake(FsspecFiles(self.place(), given))

    def _path(self) -> str:
        if not self.hdfs_path.startswith("/"):
            raise ConfigError(f"hdfs.hdfs_path must begin with a slash, not be {self.hdfs_path!r}.")
        return self.hdfs_path.rstrip("/") or "/"

    def _web(self) -> tuple[str, list[str]]:
        """How to speak, and to whom: the web servers of the NameNodes."""
        schemes, hosts = set(), []
        for url in self.namenode_url.split(","):
            found = re.fullmatch(
                r"(\w+)://([\w.-]+|\[[0-9a-fA-F:]+\])(?::(\d+))?(?:/|/webhdfs/v1/?)?", url.strip()
            )
            if not found or found[1] not in SCHEMES:
                raise ConfigError(
                    "hdfs.namenode_url must be hdfs://, http:// or https:// with host and port, or several of"
                    " those joined by commas; path and user have keys of their own."
                )
            schemes.add(scheme := SCHEMES[found[1]])
            rpc = found[1] == "hdfs" and found[3] in (None, *RPC_PORTS)
            ports = WEB_PORTS[scheme] if rpc or not found[3] else (found[3],)
            hosts += [f"{found[2]}:{port}" for port in ports]
        if len(schemes) > 1:
            raise ConfigError("hdfs.namenode_url mixes http and https; give one of them.")
        return schemes.pop(), hosts

    def _block_size(self) -> int | None:
        if self.block_size is None:
            return None
        found = re.fullmatch(r"(\d+)\s*([kmg]?)(?:i?b)?", str(self.block_size).strip().lower())
        if not found or not int(found[1]):
            raise ConfigError(f"hdfs.block_size must be bytes, or such as 128m, not {self.block_size!r}.")
        return int(found[1]) * UNITS[found[2]]
