"""A network that can be made bad: a TCP proxy before a real server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

HOST = "127.0.0.1"
_PIECE = 1 << 16
_RESET = struct.pack("ii", 1, 0)
"""Lingering for no time makes closing a socket a reset."""


@dataclass
class Proxy:
    """Passes on what comes in at `port`; how well is said by its attributes, at any time."""

    port: int = 0
    latency: float = 0.0
    """Seconds that every piece takes longer, each way."""
    reset: bool = False
    """Connections, also those that are open, are reset at their next piece."""
    black_hole: bool = False
    """What comes in disappears; nothing comes back, and nothing ends."""
    lost: bytes = b""
    """A request with these bytes disappears, and all that follows on its connection; others pass."""
    cut_after: int | None = None
    """So many bytes of the next answer of a connection pass, then it ends."""
    connections: int = 0
    """How many there have been."""
    requests: bytearray = field(default_factory=bytearray)
    """What clients have sent."""

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


@contextmanager
def proxy(target_port: int) -> Iterator[Proxy]:
    """A proxy before `target_port`, in a thread of its own."""
    control = Proxy()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    connections: set[object] = set()
    """Kept, since nothing else holds one that waits for ever."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        control.connections += 1
        connections.add(task := asyncio.current_task())
        ends = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, target_port)
            ends.append(far_writer)
            ways = (
                _pass_on(reader, far_writer, writer, control, asked=True),
                _pass_on(far_reader, writer, far_writer, control, asked=False),
            )
            await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in ends:
                end.close()
            for end in ends:
                with contextlib.suppress(OSError):
                    await end.wait_closed()
            connections.discard(task)

    async def start() -> asyncio.Server:
        return await asyncio.start_server(connected, HOST, 0, backlog=256)

    async def stop(server: asyncio.Server) -> None:
        server.close()
        running = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    control.port = server.sockets[0].getsockname()[1]
    try:
        yield control
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _pass_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    other: asyncio.StreamWriter,
    control: Proxy,
    asked: bool,
) -> None:
    deaf = False
    try:
        while piece := await reader.read(_PIECE):
            if asked:
                control.requests += piece
                deaf = deaf or bool(control.lost and control.lost in piece)
            if control.latency:
                await asyncio.sleep(control.latency)
            if control.reset:
                _set_to_reset(writer)
                _set_to_reset(other)
                return
            if control.black_hole or deaf:
                continue
            cut = None if asked else control.cut_after
            writer.write(piece[:cut])
            await writer.drain()
            if cut is not None:
                other.close()
                return
    finally:
        if not control.black_hole:
            writer.close()


def _set_to_reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
