"""A network that takes its time: a TCP proxy that holds back what passes through it.

`python -m benchmarks.proxy PORT TARGET_PORT SECONDS` adds SECONDS to every round trip, half of
them each way, and no limit to how much passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

_PIECE = 1 << 16
HOST = "127.0.0.1"


async def serve(port: int, target_port: int, round_trip: float) -> None:
    """Pass on what comes in at `port` to `target_port`, and back, for ever."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection(HOST, target_port)
        await asyncio.gather(
            _pass_on(reader, target_writer, round_trip / 2), _pass_on(target_reader, writer, round_trip / 2)
        )

    server = await asyncio.start_server(connected, HOST, port, backlog=1024)
    async with server:
        await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Every piece `delay` after it came, in order; many may be on their way at once."""
    loop = asyncio.get_running_loop()
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        piece = b"."
        while piece:
            due, piece = await on_the_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            writer.write(piece)
            await writer.drain()

    delivering = asyncio.create_task(deliver())
    piece = b"."
    with contextlib.suppress(ConnectionError):
        while piece:
            piece = await reader.read(_PIECE)
            on_the_way.put_nowait((loop.time() + delay, piece))
        await delivering
    delivering.cancel()
    writer.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
