"""What the client does when Hadoop answers in ways that a test cannot ask of a real one in time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from resources.hdfs.client import Client

STANDBY = {"exception": "StandbyException", "message": "Operation category WRITE is not supported in standby"}


@contextmanager
def hadoop(refusals: int) -> Iterator[tuple[str, list[bytes]]]:
    """A NameNode that sends to itself as a DataNode, which refuses so many times; and what it was sent."""
    sent: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if "datanode" not in self.path:
                host, port = self.server.server_address[:2]
                return self.answer(307, b"", f"http://{host!s}:{port}{self.path}&datanode")
            sent.append(body)
            if len(sent) <= refusals:
                return self.answer(403, json.dumps({"RemoteException": STANDBY}).encode())
            return self.answer(201, b"")

        def answer(self, status: int, body: bytes, location: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}", sent
        server.shutdown()
        thread.join()


def client(host: str, timeout: float = 5) -> Client:
    return Client(host, "somebody", "http", timeout)


@pytest.mark.parametrize("streamed", [False, True])
def test_an_upload_that_is_repeated_sends_everything_again(streamed: bool) -> None:
    from io import BytesIO

    with hadoop(refusals=1) as (host, sent):
        client(host).write("/file", BytesIO(b"content") if streamed else b"content")
    assert sent == [b"content", b"content"]


def test_a_refusal_that_does_not_pass_is_not_waited_for_without_end() -> None:
    started = time.monotonic()
    with hadoop(refusals=10**6) as (host, sent), pytest.raises(ConnectionError, match="standby"):
        client(host, timeout=1).write("/file", b"content")
    assert len(sent) > 1
    assert time.monotonic() - started < 5


def test_what_may_have_been_done_is_not_done_again() -> None:
    with hadoop(refusals=1) as (host, sent), pytest.raises(ConnectionError, match="standby"):
        client(host).write("/file", b"content", overwrite=False)
    assert len(sent) == 1


def test_a_name_node_that_is_killed_while_it_answers_is_asked_again() -> None:
    class Dying(BaseHTTPRequestHandler):
        asked = 0

        def do_GET(self) -> None:
            Dying.asked += 1
            body = json.dumps({"FileStatuses": {"FileStatus": []}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: 5 if Dying.asked == 1 else None])
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Dying) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        assert client(f"127.0.0.1:{server.server_port}").list_status("/") == []
        server.shutdown()
        thread.join()
    assert Dying.asked == 2
