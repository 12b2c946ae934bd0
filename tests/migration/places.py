"""Storages of every kind to migrate between, and what one holds, in a form that can be compared."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from assets import ingest, summary
from assets.problems import triage
from resources.backend import Backend
from resources.backends import settings_of
from resources.backends.sql.settings import Mysql, Postgresql
from resources.config import active, configured
from resources.contract import Delivery
from resources.lake.marks import Audit
from tests.backends.contract import fill, rows
from tests.backends.sql_servers import settings
from tests.hadoop import SUPERUSER
from tests.lake.state import DAYS, State, append, document, stored
from tests.servers import AZURE_ACCOUNT, AZURE_KEY, SECRETS

Opener = Callable[[], Backend]
"""Opens the same storage anew at each call."""

DECIDED_AT = datetime(2025, 3, 6, 8, 30, tzinfo=UTC)

SERVERS = {
    "postgresql": "postgresql_server",
    "mysql": "mysql_server",
    "mongodb": "mongo_server",
    "aws_s3": "seaweedfs",
    "azure_blob": "azurite",
    "gcs": "fake_gcs",
    "hdfs": "hdfs_server",
    "fsspec": "sftp_server",
}
"""The fixture that each backend needs."""

KINDS = ("local_file", "nfs", "sqlite", "database_factory", *SERVERS)


def opener(kind: str, request: pytest.FixtureRequest, folder: Path) -> Opener:
    """A new, empty storage of the kind."""
    server = request.getfixturevalue(SERVERS[kind]) if kind in SERVERS else None
    unique = uuid4().hex
    if kind in ("postgresql", "mysql"):
        return settings(Postgresql if kind == "postgresql" else Mysql, server).open
    if kind == "nfs":  # whose mount point is looked at before anything is stored
        mounted = folder / unique
        mounted.mkdir()
        request.getfixturevalue("monkeypatch").setattr("os.path.ismount", lambda path: path == str(mounted))
        return settings_of("nfs").of({"mount_path": str(mounted)}, kind).open
    keys: dict[str, Callable[[], dict[str, Any]]] = {
        "local_file": lambda: {"storage_path": str(folder / unique)},
        "sqlite": lambda: {"database_path": str(folder / f"{unique}.db")},
        "database_factory": lambda: {
            "databases": {"sqlite": {"database_path": str(folder / f"{unique}.db")}},
        },
        "mongodb": lambda: {"connection_string": server.url, "database": f"t{unique}"},
        "aws_s3": lambda: {
            "bucket": "issuelake",
            "prefix": unique,
            "region": "us-east-1",
            "access_key_id": "writer",
            "secret_access_key": SECRETS["writer"],
            "endpoint_url": server.url,
        },
        "azure_blob": lambda: {
            "account_name": AZURE_ACCOUNT,
            "account_key": AZURE_KEY,
            "container_name": "issuelake",
            "prefix": unique,
            "endpoint_url": f"{server.url}/{AZURE_ACCOUNT}",
        },
        "gcs": lambda: {"bucket_name": "issuelake", "prefix": unique, "endpoint_url": server.url},
        "hdfs": lambda: {
            "namenode_url": f"http://{server.hosts}",
            "hdfs_path": f"/{unique}/lake",
            "user": SUPERUSER,
        },
        "fsspec": lambda: {"url": f"{server.url}/{unique}", "storage_options": server.options},
    }
    document = {"storage_backend": kind, "storage_config": {kind: keys[kind]()}}
    return active(configured(document)).settings.open


def furnish(backend: Backend) -> State:
    """Everything that a storage can hold; what counts of it."""
    wanted = fill(backend)
    odd = {
        "validation_run_id": "odd ☃\0",
        "timestamp": "2025-03-05T23:59:59.999999Z",
        "target_plugin": "plugin-1",
        "metadata": {"k": [1, None, "é"]},
        "other": {"deep": [[]]},
        "issues_list": [
            {
                "severity": "critical",
                "description": "\0 nul",
                "details": {"rule": "E1", "fingerprints": {"a/v1": "own"}},
                "also": 1,
            },
            {"severity": "low", "description": "same"},
            {
                "severity": "low",
                "description": "same",
                "file_path": "a",
                "recommendation": "",
                "category": "c",
            },
        ],
    }
    append(backend, [odd, document("gone", DAYS[3]), document("empty", DAYS[3], issues=0)])
    backend.delete(["gone"], Audit("somebody", {"run_id": "gone"}, 2))
    refused = {"in/b 1.json": b"{", "in/b\xff.json": b'\xff"', "in/taken.json": b'{"taken"'}
    ingest.store_deliveries(backend, [Delivery(source, raw) for source, raw in refused.items()])
    backend.take_rejected([r.rejected_id for r in backend.rejected() if r.source == "in/taken.json"])
    for day in DAYS[:2]:
        summary.summarise(backend, day)
    triage.take_in(backend.files, [triage.Decision(DECIDED_AT, "0f" * 16, "accepted", "known", "ann")])
    return wanted | {"empty": stored("empty", DAYS[3], issues=0)}


def everything(backend: Backend) -> dict[str, Any]:
    """All that a migration keeps: every column but the batch, deletions, decisions, rejected bytes."""
    queries = (
        "SELECT * EXCLUDE (batch_id) FROM runs ORDER BY validation_run_id",
        "SELECT * EXCLUDE (batch_id) FROM issues ORDER BY validation_run_id, issue_index",
    )
    runs, issues = backend.reading(lambda c: [rows(c, query) for query in queries])
    return {
        "runs": runs,
        "issues": issues,
        "deletions": backend.deletions(),
        "decisions": triage.made(backend.files),
        "rejected": backend.rejected(),
        "bytes": [backend.files.read(r.path) for r in backend.rejected()],
    }
