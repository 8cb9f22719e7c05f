"""How texts reach a client of a relay: `AsgiTexts`, by a web server, and `Outgoing`, the seam to it.

An `Outgoing` holds the texts that are sent and have not left. A relay waits for one that is choked before it reads more from
the client that sends to it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, Final

from penstock.streams import Bell
from penstock.transports import WRITE_HIGH_WATER_BYTES

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: An end in good order, a server that shuts down, and a client that is asked to come again later (RFC 6455, §7.4.1).
NORMAL: Final = 1000
GOING_AWAY: Final = 1001
TRY_AGAIN: Final = 1013

#: Seconds for the last texts of a client that is closed.
FLUSH_S: Final = 1.0


class Outgoing:
    """Texts on their way to one client, in order."""

    def __init__(self) -> None:
        self._texts: deque[bytes | str] = deque()
        self._bytes = 0
        self._closing: tuple[int, str] | None = None
        self._bell = Bell()

    @property
    def choked(self) -> bool:
        """Whether more texts wait than is good."""
        return self._bytes > WRITE_HIGH_WATER_BYTES and self._closing is None

    def send(self, text: bytes | str) -> None:
        """Let a text wait to be sent; nothing after `close`."""
        if self._closing is None:
            self._texts.append(text)
            self._bytes += len(text)
            self._bell.notify()

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """End it: in good order after the texts that wait, else at once."""
        if self._closing is None:
            self._closing = (code, reason)
            if code == TRY_AGAIN:
                self._texts.clear()
            self._bell.notify()

    def discard(self) -> None:
        """Forget the texts that wait, at its end; tasks that wait for room go on."""
        self._closing = self._closing or (NORMAL, "")
        self._texts.clear()
        self._bytes = 0
        self._bell.notify()

    async def drained(self) -> None:
        """Wait until it is not choked any more."""
        while self.choked:
            await self._bell.wait()

    async def next(self) -> bytes | str | None:
        """Return the next text that is to be sent; None at the end."""
        while not self._texts:
            if self._closing is not None:
                return None
            await self._bell.wait()
        text = self._texts.popleft()
        self._bytes -= len(text)
        self._bell.notify()
        return text

    @property
    def closing(self) -> tuple[int, str]:
        """The code of its end, and the reason."""
        return self._closing or (NORMAL, "")


class AsgiTexts(Outgoing):
    """One WebSocket that an ASGI server has accepted."""

    def __init__(self, receive: Receive, send: Send) -> None:
        super().__init__()
        self._receive = receive
        self._send = send
        self._writer: asyncio.Task[None] | None = None
        self._drop: asyncio.TimerHandle | None = None

    async def carry(self, reading: Coroutine[Any, Any, None]) -> None:
        """Send its texts while `reading` runs, until that is over or the WebSocket has ended. Cancelling it ends both."""
        self._writer = writer = asyncio.create_task(self._write())
        reader = asyncio.create_task(reading)
        tasks = (reader, writer)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not writer.done():
                self.close()
                await asyncio.wait([writer], timeout=FLUSH_S)
        finally:
            if self._drop is not None:
                self._drop.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.discard()
        if not reader.cancelled():
            reader.result()

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """End it; a client that reads nothing is dropped after `FLUSH_S`."""
        super().close(code, reason)
        if self._drop is None and self._writer is not None:
            self._drop = asyncio.get_running_loop().call_later(FLUSH_S, self._writer.cancel)

    async def read(self, timeout_s: float) -> str | None:
        """Return the next text; None at the end. Raises `TimeoutError`."""
        async with asyncio.timeout(timeout_s):
            event = await self._receive()
        if event["type"] == "websocket.disconnect":
            return None
        text = event.get("text")
        return text if isinstance(text, str) else bytes(event.get("bytes") or b"").decode("utf-8", "replace")

    async def _write(self) -> None:
        while (text := await self.next()) is not None:
            await self._send({"type": "websocket.send", "text": text if isinstance(text, str) else text.decode()})
        code, reason = self.closing
        await self._send({"type": "websocket.close", "code": code, "reason": reason})
