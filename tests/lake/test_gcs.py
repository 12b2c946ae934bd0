"""A lake in a bucket of fake-gcs-server, which lets everybody in."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from resources.errors import ConfigError
from tests.lake.buckets import BucketContract, open_lake, refused
from tests.lake.state import append, check, document, stored
from tests.proxy import Proxy
from tests.servers import Server

TOKEN = "a-token-that-nobody-may-see"


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
        "client_email": "tester@example.iam.gserviceaccount.com",
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
