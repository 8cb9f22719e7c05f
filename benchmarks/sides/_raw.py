"""A raw asyncio protocol: what the event loop and the kernel leave of the machine. It frames nothing and checks nothing.

Two ports in one: 16 bytes ask for a flood of chunks; a message of 64 bytes is echoed.
"""

from __future__ import annotations

import asyncio
import struct
from time import perf_counter_ns
from typing import cast

from benchmarks.sides._clock import Answer, one_by_one, rate

_FLOOD = struct.Struct("<QQ")
_MESSAGE = bytes(64)  # about what a small call and its answer take, with their frames


class _Far(asyncio.Protocol):
    """The server's end of one connection."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._paused = False
        self._chunk = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if len(data) == _FLOOD.size:
            self._left, size = _FLOOD.unpack(data)
            self._chunk = bytes(size)
            self._pour()
        else:
            self._transport.write(data)

    def _pour(self) -> None:
        while self._left and not self._paused:
            self._left -= 1
            self._transport.write(self._chunk)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pour()


class _Near(asyncio.Protocol):
    """The driver's end: waits until so many bytes have come."""

    _transport: asyncio.Transport
    _done: asyncio.Future[None]

    def __init__(self) -> None:
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, data: bytes, answer_bytes: int) -> asyncio.Future[None]:
        self._missing = answer_bytes
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return self._done

    def data_received(self, data: bytes) -> None:
        self._missing -= len(data)
        if self._missing <= 0:
            self._done.set_result(None)


class Server:
    """Listens on a loopback port."""

    async def serve(self, transport: str, folder: str) -> str:
        """Start, and answer where."""
        del transport, folder
        self._server = await asyncio.get_running_loop().create_server(_Far, "127.0.0.1", 0)
        return str(self._server.sockets[0].getsockname()[1])


class Driver:
    """Asks and counts bytes."""

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Connect to the port that `url` names."""
        del transport, folder
        _, self._near = await asyncio.get_running_loop().create_connection(_Near, "127.0.0.1", int(url))

    async def chunks(self, count: int, size: int) -> Answer:
        """Receive `count` × `size` bytes."""
        started = perf_counter_ns()
        await self._near.ask(_FLOOD.pack(count, size), count * size)
        return rate(count, started)

    async def unary(self, count: int) -> Answer:
        """Send a message and wait for its echo, `count` times."""
        return await one_by_one(lambda: self._near.ask(_MESSAGE, len(_MESSAGE)), count)
