"""A lake in a bucket of fake-gcs-server, which lets everybody in."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from resources.errors import ConfigError
from tests.lake.buckets import SECONDS, BucketContract, calls, open_lake, refused
from tests.lake.state import append, check, document, stored
from tests.proxy import Proxy
from tests.servers import Server

TOKEN = "a-token-that-nobody-may-see"
WHO = "tester@example.iam.gserviceaccount.com"


class TokenServer(BaseHTTPRequestHandler):
    """Answers a service account's assertion as Google does."""

    refuse: ClassVar[bool] = False
    asked: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
        answer: dict[str, Any] = {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
        if self.refuse:
            answer = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        body = json.dumps(answer).encode()
        self.send_response(400 if self.refuse else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Refusing(BaseHTTPRequestHandler):
    """Answers as Google does where somebody may not do what they ask for."""

    refused: ClassVar[list[str]] = []

    def refuse(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.refused.append(str(self.headers["Authorization"]))
        right = {"GET": "list", "DELETE": "delete"}.get(self.command, "create")
        message = f"{WHO} does not have storage.objects.{right} access to the Google Cloud Storage bucket."
        reasons = [{"message": message, "domain": "global", "reason": "forbidden"}]
        body = json.dumps({"error": {"code": 403, "message": message, "errors": reasons}}).encode()
        self.send_response(403)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = refuse  # noqa: N815  (the names that are called)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def refusing_bucket() -> Iterator[str]:
    """The URL of a server that refuses everything."""
    Refusing.refused.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A service account's file, and the server that knows it."""
    monkeypatch.setattr(TokenServer, "refuse", False)
    TokenServer.asked.clear()
    server = HTTPServer(("127.0.0.1", 0), TokenServer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "account.json"
    described = {
        "type": "service_account",
        "project_id": "the-accounts-own",
        "private_key_id": "1",
        "private_key": key.decode(),
        "client_email": WHO,
        "token_uri": f"http://127.0.0.1:{server.server_port}/token",
    }
    path.write_text(json.dumps(described))
    yield path
    server.shutdown()
    thread.join(10)
    server.server_close()


class TestGcs(BucketContract):
    backend_name = "gcs"
    bucket_key = "bucket_name"

    @pytest.fixture
    def server(self, fake_gcs: Server) -> Server:
        return fake_gcs

    def keys(self, url: str, prefix: str) -> dict[str, Any]:
        return {"bucket_name": "issuelake", "prefix": prefix, "project_id": "tests", "endpoint_url": url}

    @pytest.fixture
    def refusing(self, account: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(TokenServer, "refuse", True)
        return account

    def test_wrong_credentials(self, place: Any, refusing: Path) -> None:  # type: ignore[override]
        keys = place.options | {"credentials_path": str(refusing), "timeout_seconds": 3}
        lake = open_lake("gcs", keys)
        with refused() as told:
            lake.days()
        assert told.seconds < 6
        assert "PRIVATE KEY" not in told.everything
        with pytest.raises(ConfigError, match=r"no file /not/there\.json"):
            open_lake("gcs", place.options | {"credentials_path": "/not/there.json"})
        broken = refusing.with_name("broken.json")
        broken.write_text('{"private_key": "half a ke')
        with refused() as told:
            open_lake("gcs", place.options | {"credentials_path": str(broken)})
        assert "half a ke" not in told.everything

    def test_keys_arrive(self, bad: Proxy, account: Path) -> None:
        prefix = str(uuid4())
        keys = self.keys(bad.url, prefix) | {"credentials_path": str(account), "project_id": "a-project"}
        lake = open_lake("gcs", keys)
        append(lake, [document("a")])
        check(lake, {"a": stored("a")})
        assert len(TokenServer.asked) == 1
        assert f"authorization: bearer {TOKEN}".encode() in bad.requests.lower()
        assert f'"name":"{prefix}/runs/'.encode() in bad.requests.replace(b'": "', b'":"')
        assert lake.files.fs.buckets is not None  # type: ignore[attr-defined]
        assert b"project=a-project" in bad.requests

    def test_no_permission(self, refusing_bucket: str, account: Path) -> None:
        keys = self.keys(refusing_bucket, "lake") | {"credentials_path": str(account)}
        lake = open_lake("gcs", keys)
        for call in calls(lake):
            with refused() as told:
                call()
            assert told.seconds < SECONDS
            assert f"{WHO} does not have storage.objects." in told.text
            assert "gs://issuelake/lake" in told.text
            assert TOKEN not in told.everything
        assert not lake.check().healthy
        assert set(Refusing.refused) == {f"Bearer {TOKEN}"}

    def test_the_prefix_and_bucket_arrive(self, server: Server) -> None:
        prefix = str(uuid4())
        append(open_lake("gcs", self.keys(server.url, f"/{prefix}/deep/")), [document("a")])
        url = f"{server.url}/storage/v1/b/issuelake/o?prefix={prefix}/"
        with urllib.request.urlopen(url) as answer:
            names = [item["name"] for item in json.load(answer)["items"]]
        assert {name.split("/")[2] for name in names} == {"runs", "issues"}
        assert all(name.startswith(f"{prefix}/deep/") for name in names)
