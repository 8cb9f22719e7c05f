"""A proxy on real TCP that cuts, stalls and halves the connections which it carries."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

import penstock

#: A client behind a proxy comes back at once.
AT_ONCE = penstock.Reconnect(first_s=0.005, max_s=0.05)


def port_of(server: penstock.Server) -> int:
    return int(server.urls[0].rpartition(":")[2])


class Proxy:
    """Carries bytes between clients and the server at `port`.

    down_bytes, up_bytes: each connection is cut, with a reset, after so many bytes to the client or to the server; None for
    never. cuts: how many were cut.
    """

    def __init__(self, port: int, *, down_bytes: int | None = None, up_bytes: int | None = None) -> None:
        self._port = port
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._carrying: set[asyncio.Task[None]] = set()
        self.down_bytes = down_bytes
        self.up_bytes = up_bytes
        self.cuts = 0
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        self.cut()
        self._flows.set()
        if self._carrying:
            await asyncio.wait(self._carrying)

    def cut(self) -> None:
        """Cut every connection, with a reset at both ends."""
        for pair in tuple(self._pairs):
            self._cut(pair)

    def stall(self) -> None:
        """Let nothing through any more, and close nothing: all connections are half-open."""
        self._flows.clear()

    def flow(self) -> None:
        """Let everything through again, also what was held."""
        self._flows.set()

    def _cut(self, pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        if pair in self._pairs:
            self._pairs.discard(pair)
            self.cuts += 1
            for writer in pair:
                writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        self.connections += 1
        try:
            there, server = await asyncio.open_connection("127.0.0.1", self._port)
            pair = (writer, server)
            self._pairs.add(pair)
            await asyncio.gather(
                self._copy(reader, server, pair, self.up_bytes), self._copy(there, writer, pair, self.down_bytes)
            )
        except OSError:  # nothing listens
            writer.transport.abort()
        finally:
            self._carrying.discard(task)

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        left: int | None,
    ) -> None:
        with contextlib.suppress(OSError):
            while left != 0 and (data := await reader.read(65536 if left is None else min(left, 65536))):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
                left = None if left is None else left - len(data)
            if left == 0:
                self._cut(pair)
        writer.close()
        self._pairs.discard(pair)
