"""A folder as a bucket of an S3 that costs next to nothing, so that the network is what is measured.

`python -m benchmarks.s3_server PORT BUCKET FOLDER` lists and hands out files, and does no more. (A
full imitation needs ten milliseconds and more for a request: at many in flight, its own speed is
all that would show.)
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

HOST = "127.0.0.1"
_PAGE = 1000
_Answer = tuple[str, dict[str, str], bytes]


class Bucket:
    """The files below a folder, by key."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._contents = {
            path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.json"))
        }

    def answer(self, method: str, target: str) -> _Answer:
        """Status, headers and body of the answer to a request."""
        url = urlsplit(target)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        if bucket != self.name or (key and key not in self._contents):
            return "404 Not Found", {}, b""
        if key:
            content = self._contents[key]
            headers = {"ETag": f'"{len(content)}"', "Content-Type": "application/json"}
            return "200 OK", headers, content
        return (
            "200 OK",
            {"Content-Type": "application/xml"},
            b"" if method == "HEAD" else self._page(url.query),
        )

    def _page(self, query: str) -> bytes:
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        prefix, after = asked.get("prefix", ""), asked.get("continuation-token", "")
        keys = [key for key in self._contents if key.startswith(prefix) and key > after]
        page, more = keys[:_PAGE], len(keys) > _PAGE
        rows = "".join(
            f"<Contents><Key>{quote(key)}</Key><LastModified>2025-08-31T00:00:00.000Z</LastModified>"
            f"<Size>{len(self._contents[key])}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{self.name}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"
            f"<MaxKeys>{_PAGE}</MaxKeys><EncodingType>url</EncodingType>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>"
        ).encode()


async def serve(port: int, bucket: Bucket) -> None:
    """Answer requests at `port` for ever."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
                writer.write(_encoded(method, *bucket.answer(method, target)))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, HOST, port, backlog=1024)
    async with server:
        await server.serve_forever()


def _encoded(method: str, status: str, headers: dict[str, str], body: bytes) -> bytes:
    moment = formatdate(usegmt=True)
    always = {"Content-Length": str(len(body)), "Date": moment, "Last-Modified": moment}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in (headers | always).items())]
    head = "\r\n".join([*lines, "", ""]).encode()
    return head if method == "HEAD" else head + body


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]), Bucket(sys.argv[2], Path(sys.argv[3]))))
