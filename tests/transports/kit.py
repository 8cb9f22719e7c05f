"""The kit of the conformance tests: a receiver that records, and a connected pair over any transport. It never sleeps."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from penstock import transports
from penstock.transports import TLS, Link, Listener

#: Generous: it only turns a hang into a failure that names the missed condition.
PATIENCE_S = 20.0


@contextmanager
def directory_locked(directory: Path) -> Iterator[None]:
    """Lock a directory, as any process can that may read it."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class Recorder:
    """A receiver that keeps all bytes and counts the calls of the link."""

    def __init__(self, buffer_bytes: int = 65536, *, keep: bool = True) -> None:
        self.link: Link
        self.received = bytearray()
        self.received_bytes = 0
        self.lost: list[Exception | None] = []
        self.paused = 0
        self.resumed = 0
        self.made = 0
        self.writable = True
        self.on_data: Callable[[], None] = lambda: None
        self._keep = keep
        self._buffer = bytearray(buffer_bytes)
        self._view = memoryview(self._buffer)
        self._changed = asyncio.Event()

    def link_made(self, link: Link) -> None:
        self.link = link
        self.made += 1
        self._changed.set()

    def get_buffer(self, size_hint: int) -> memoryview:
        return self._view

    def buffer_updated(self, size: int) -> None:
        assert not self.lost, "fed after link_lost"
        assert 0 < size <= len(self._buffer)
        self.received_bytes += size
        if self._keep:
            self.received += self._view[:size]
        self._changed.set()
        self.on_data()

    def link_lost(self, error: Exception | None) -> None:
        self.lost.append(error)
        self._changed.set()

    def pause_writing(self) -> None:
        assert self.writable, "paused twice"
        self.writable = False
        self.paused += 1
        self._changed.set()

    def resume_writing(self) -> None:
        assert not self.writable, "resumed twice"
        self.writable = True
        self.resumed += 1
        self._changed.set()

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until `condition` holds, looking again after each thing that happens to this receiver."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{what} did not happen; {self.received_bytes} bytes received, lost: {self.lost}") from None

    async def until_received(self, size: int) -> None:
        await self.until(lambda: self.received_bytes >= size, f"{size} bytes")

    async def until_lost(self) -> Exception | None:
        await self.until(lambda: self.lost, "link_lost")
        return self.lost[0]


class Pair:
    """A client and a server receiver that are linked."""

    def __init__(self, client: Recorder, server: Recorder, listener: Listener) -> None:
        self.client = client
        self.server = server
        self.listener = listener

    def both_ways(self) -> list[tuple[Recorder, Recorder]]:
        return [(self.client, self.server), (self.server, self.client)]

    async def both_lost(self) -> tuple[Exception | None, Exception | None]:
        return await self.client.until_lost(), await self.server.until_lost()


def url_for(scheme: str, folder: Path) -> str:
    return {
        "memory": "memory://conformance",
        "tcp": "tcp://127.0.0.1:0",
        "tls": "tls://127.0.0.1:0",
        "unix": f"unix://{folder}/s",
        "ws": "ws://127.0.0.1:0",
        "wss": "wss://127.0.0.1:0/a/path",
    }.get(scheme, f"{scheme}://server")


def tls_for(scheme: str, folder: Path) -> TLS | None:
    return TLS.development(folder / "tls") if scheme in ("tls", "wss") else None


@asynccontextmanager
async def linked(url: str, *, tls: TLS | None = None, buffer_bytes: int = 65536, keep: bool = True) -> AsyncIterator[Pair]:
    """Listen, dial, and wait until both sides are up; abort both at the end."""
    server, client = Recorder(buffer_bytes, keep=keep), Recorder(buffer_bytes, keep=keep)
    listener = await transports.listen(url, lambda: server, tls=tls)
    try:
        await transports.dial(listener.url, client, tls=tls)
        await server.until(lambda: server.made, "the server's link_made")
        pair = Pair(client, server, listener)
        try:
            yield pair
        finally:
            client.link.abort()
            server.link.abort()
            await pair.both_lost()
    finally:
        await listener.aclose()
