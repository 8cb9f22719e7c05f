"""WebSockets of ASGI as links of sessions: what `ws://` is at a listener of its own, inside a web application."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Final

from penstock.streams import Bell
from penstock.transports import (
    CLOSE_TIMEOUT_S,
    MESSAGE_BYTES_MAX,
    SUBPROTOCOL,
    WRITE_HIGH_WATER_BYTES,
    MessageLink,
    Messages,
    Receiver,
    Segment,
)
from penstock.web._http import AsgiEvent, Receive, Scope, Send

#: The close codes of RFC 6455, §7.4.1 and §7.4.2: an end in good order, a page that was left, a code that is missing, a message
#: of a kind that is not taken, and one that is too large.
_NORMAL: Final = 1000
_IN_GOOD_ORDER: Final = (_NORMAL, 1001, 1005)
_UNSUPPORTED: Final = 1003
_ABNORMAL: Final = 1006
_LOW_WATER_BYTES: Final = WRITE_HIGH_WATER_BYTES // 4


class AsgiMessages(Messages):
    """One WebSocket that an ASGI server has accepted. `run` carries its messages, both ways, until it has ended."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client") or ("?", 0)
        host = f"[{client[0]}]" if ":" in str(client[0]) else client[0]
        self.remote = f"{scope.get('scheme', 'ws')}://{host}:{client[1]}"
        self._receive = receive
        self._send = send
        self._waiting: list[Segment] = []
        self._waiting_bytes = 0
        self._writing_paused = False
        self._held = False
        self._finished = False
        self._dropped = False
        self._to_write, self._to_read = Bell(), Bell()
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._link: MessageLink | None = None

    async def run(self, receiver: Receiver) -> None:
        """Join a receiver to the WebSocket, and carry its messages until it has ended. Cancelling it drops the WebSocket."""
        self._link = link = MessageLink(self, receiver)
        self._task = asyncio.current_task()
        error: Exception | None = ConnectionAbortedError(errno.ECONNABORTED, "the web server ended the connection")
        writing = asyncio.create_task(self._write_on())
        receiver.link_made(link)
        try:
            error = await self._read_on()
        except asyncio.CancelledError:
            if not self._dropped:
                raise
            error = ConnectionAbortedError(errno.ECONNABORTED, "aborted by this side")
        finally:
            writing.cancel()
            if self._timer is not None:  # it would hold the session for its time
                self._timer.cancel()
            link.lose(error)
            await asyncio.gather(writing, return_exceptions=True)

    # ── the calls of the link ─────────────────────────────────────────────────────────────────────────────────────────

    def send(self, data: Segment) -> None:
        """Let the bytes wait for the writer; those that wait together share messages."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._to_write.notify()
        if self._waiting_bytes > WRITE_HIGH_WATER_BYTES and not self._writing_paused and self._link is not None:
            self._writing_paused = True
            self._link.pause_writing()

    def hold(self) -> None:
        """Receive nothing more from the server, which then reads nothing more."""
        self._held = True

    def go_on(self) -> None:
        """Receive again."""
        self._held = False
        self._to_read.notify()

    def finish(self) -> None:
        """Let the writer close the WebSocket after all that waits."""
        self._finished = True
        self._to_write.notify()
        self._timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self.drop)

    def drop(self) -> None:
        """End the task of the WebSocket; the server then ends the connection."""
        if self._task is not None and not self._dropped and not self._task.done():
            self._dropped = True
            self._task.cancel()

    # ── both directions ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _read_on(self) -> Exception | None:
        """Hand on messages until the end; return why it was not one in good order."""
        while True:
            while self._held:
                await self._to_read.wait()
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                return _fault_of(event)
            data: bytes | None = event.get("bytes")
            if data is None:
                reason = "Penstock speaks in binary messages"
                await self._send({"type": "websocket.close", "code": _UNSUPPORTED, "reason": reason})
                return ConnectionAbortedError(errno.ECONNABORTED, "the other side sent a text message")
            if self._link is not None:
                self._link.take(data)

    async def _write_on(self) -> None:
        """Send the messages that wait, and the close after the last one."""
        while True:
            while not self._waiting and not self._finished:
                await self._to_write.wait()
            if not self._waiting:
                await self._send({"type": "websocket.close", "code": _NORMAL})
                return
            data = self._next_message()
            try:
                await self._send({"type": "websocket.send", "bytes": data})
            except OSError:  # the client has left; the reader is told of it
                return
            if self._writing_paused and self._waiting_bytes <= _LOW_WATER_BYTES and self._link is not None:
                self._writing_paused = False
                self._link.resume_writing()

    def _next_message(self) -> bytes:
        """Take as many of the waiting segments as fit into one message."""
        size, count = 0, 0
        for segment in self._waiting:
            if count and size + len(segment) > MESSAGE_BYTES_MAX:
                break
            size += len(segment)
            count += 1
        taken = self._waiting[:count]
        del self._waiting[:count]
        self._waiting_bytes -= size
        return b"".join(taken)


def _fault_of(event: AsgiEvent) -> Exception | None:
    code = event.get("code") or _ABNORMAL
    if code in _IN_GOOD_ORDER:
        return None
    return ConnectionResetError(errno.ECONNRESET, f"the other side closed the WebSocket: {code}")


async def carry(scope: Scope, receive: Receive, send: Send, receivers: Callable[[], Receiver]) -> None:
    """Accept a WebSocket, and join a session to it until its end. One that does not offer the subprotocol is refused."""
    await receive()  # websocket.connect
    if SUBPROTOCOL not in scope.get("subprotocols", ()):
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
    await AsgiMessages(scope, receive, send).run(receivers())
