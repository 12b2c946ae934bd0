"""Real servers, started for the tests: on 127.0.0.1, on a free port, stopped by process id.

Where one cannot be started because its package is not installed, a test fails in CI and is
skipped elsewhere, naming the package.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
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


@dataclass(frozen=True, slots=True)
class Sql:
    """A database server with TLS, its certificate signed by `ca`, for `localhost` alone."""

    port: int
    password: str
    ca: str
    process: subprocess.Popen[bytes]
    username: str = "root"


@contextmanager
def postgresql(folder: Path) -> Iterator[Sql]:
    """PostgreSQL with the database `plugpipe`."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        missing("apt: postgresql")
    programs = found[-1].parent
    # It refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    ca, certificate, key = certificates(folder)
    data, secret = folder / "data", folder / "secret"
    secret.write_text(PASSWORD)
    for path in (folder, *folder.iterdir()):
        for above in (path, *path.parents[:3]):
            above.chmod(above.stat().st_mode | 0o011)
        if user:
            shutil.chown(path, user)
    key.chmod(0o600)
    subprocess.run(
        [programs / "initdb", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync", "-U", "root", data],
        check=True,
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    port = free_port()
    settings = {
        "ssl": "on",
        "ssl_cert_file": certificate,
        "ssl_key_file": key,
        "fsync": "off",
        "max_connections": 60,
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder, *options],
            stderr=log,
            user=user,
            cwd=folder,
        )
    try:
        _await_port(port, server, folder / "log")
        import psycopg

        deadline = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                with psycopg.connect(
                    host="127.0.0.1",
                    port=port,
                    user="root",
                    password=PASSWORD,
                    dbname="postgres",
                    autocommit=True,
                ) as connection:
                    connection.execute("CREATE DATABASE plugpipe")
                break
            except psycopg.OperationalError:  # it listens before it takes connections
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield Sql(port, PASSWORD, str(ca), server)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)


@contextmanager
def mysql(folder: Path) -> Iterator[Sql]:
    """MariaDB with the database `plugpipe`."""
    program = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
    installer = shutil.which("mariadb-install-db")
    if not program or not installer:
        missing("apt: mariadb-server")
    ca, certificate, key = certificates(folder)
    user = getpass.getuser()
    subprocess.run(
        [
            installer,
            "--no-defaults",
            f"--datadir={folder}/data",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            f"--user={user}",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # Its first words are told before anyone can connect.
    (folder / "init.sql").write_text(
        f"CREATE USER 'issues'@'%' IDENTIFIED BY '{PASSWORD}';\n"
        "GRANT ALL ON *.* TO 'issues'@'%' WITH GRANT OPTION;\nCREATE DATABASE IF NOT EXISTS plugpipe;\n"
    )
    port = free_port()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                program,
                "--no-defaults",
                f"--user={user}",
                f"--datadir={folder}/data",
                "--bind-address=127.0.0.1",
                f"--port={port}",
                f"--socket={folder}/s",
                f"--pid-file={folder}/pid",
                "--skip-name-resolve",
                "--innodb-flush-log-at-trx-commit=0",
                f"--init-file={folder}/init.sql",
                f"--ssl-ca={ca}",
                f"--ssl-cert={certificate}",
                f"--ssl-key={key}",
            ],
            stderr=log,
        )
    try:
        _await_port(port, server, folder / "log")
        yield Sql(port, PASSWORD, str(ca), server, "issues")
    finally:
        server.terminate()
        server.wait(20)


PASSWORD = "p@ss:w/rd%25-not-a-secret"


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """A CA of its own, and a certificate and key for `localhost` that it has signed."""
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    ca, certificate, key = (folder / name for name in ("ca.pem", "server.pem", "server.key"))
    authority.cert_pem.write_to_path(ca)
    issued.private_key_pem.write_to_path(key)
    certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    return ca, certificate, key


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
