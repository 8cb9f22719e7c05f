"""Carry bytes inside one process and one event loop: `memory://name`.

Bytes are delivered from a callback of their own (`loop.call_soon`), never from inside `write`. So a session meets the same
events as on a socket: batches that form by themselves, pauses, and an end that comes later.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections import deque
from collections.abc import Callable, Collection, Sequence

from penstock.errors import Cause, InvalidArgument, Unavailable
from penstock.transports._abc import (
    CLOSE_TIMEOUT_S,
    HANDSHAKE_TIMEOUT_S,
    WRITE_HIGH_WATER_BYTES,
    Link,
    Listener,
    Receiver,
    Segment,
    Transport,
    fill,
)
from penstock.transports._url import name_of

#: How many bytes one link delivers before others get their turn on the event loop: about the most that a link holds.
DELIVERY_BYTES_MAX = WRITE_HIGH_WATER_BYTES

_WRITE_LOW_WATER_BYTES = WRITE_HIGH_WATER_BYTES // 4


class _MemoryLink(Link):
    """One end of a pair. Bytes written to it wait in it until the receiver of the other end takes them."""

    def __init__(self, receiver: Receiver, remote: str, loop: asyncio.AbstractEventLoop) -> None:
        self.remote = remote
        self.receiver = receiver
        self._loop = loop
        self._waiting: deque[memoryview] = deque()
        self._waiting_bytes = 0
        self._delivery: asyncio.Handle | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self._writing_paused = False
        self.reading_paused = False
        self.closing = False
        self.lost = False
        self.other: _MemoryLink

    def __repr__(self) -> str:
        state = "lost" if self.lost else "closing" if self.closing else "up"
        return f"<MemoryLink {self.remote} {state} waiting={self._waiting_bytes}>"

    def write(self, segments: Sequence[Segment]) -> None:
        """Keep the segments until the other end has taken them."""
        if self.closing:
            return
        for segment in segments:
            if segment:
                self._waiting.append(memoryview(segment))
                self._waiting_bytes += len(segment)
        self.schedule()
        if self._waiting_bytes > WRITE_HIGH_WATER_BYTES and not self._writing_paused:
            self._writing_paused = True
            self.receiver.pause_writing()

    def pause_reading(self) -> None:
        """Let the bytes that the other end writes wait there."""
        self.reading_paused = True

    def resume_reading(self) -> None:
        """Take the waiting bytes of the other end."""
        if self.reading_paused:
            self.reading_paused = False
            self.other.schedule()

    def hand_over(self, receiver: Receiver) -> None:
        """Fill the buffers of another receiver."""
        self.receiver = receiver

    def close(self) -> None:
        """End both sides once all written bytes are delivered, or abort after `CLOSE_TIMEOUT_S`."""
        if not self.closing:
            self.closing = True
            self._close_timer = self._loop.call_later(CLOSE_TIMEOUT_S, self.abort)
            if self._delivery is None and not self.lost:
                self._delivery = self._loop.call_soon(self._deliver)

    def abort(self) -> None:
        """End both sides now."""
        self.lose_both(ConnectionAbortedError(errno.ECONNABORTED, "aborted by this side"))

    def schedule(self) -> None:
        """Deliver the waiting bytes in the next turn of the loop, unless the other end has paused."""
        if self._delivery is None and not self.lost and not self.other.reading_paused:
            self._delivery = self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        """Fill the buffers of the other end's receiver, up to `DELIVERY_BYTES_MAX`."""
        self._delivery = None
        other = self.other
        budget = DELIVERY_BYTES_MAX
        try:
            while self._waiting and budget > 0 and not other.reading_paused and not other.closing:
                budget -= self._fill_one_buffer(other.receiver)
        except Exception as error:
            # A receiver must not raise; when it does, the connection breaks, as on a socket.
            other.lose_both(error)
            raise
        self._after_delivery()

    def _fill_one_buffer(self, receiver: Receiver) -> int:
        """Copy as many waiting segments as fit into one buffer of the receiver: small ones share a call."""
        filled = fill(receiver.get_buffer(self._waiting_bytes), self._waiting)
        self._waiting_bytes -= filled
        receiver.buffer_updated(filled)
        return filled

    def _after_delivery(self) -> None:
        """Resume a paused writer, go on delivering, or finish a close."""
        if self.lost:
            return
        if self.other.closing:
            # The other side reads no more: as with a socket, later bytes for it are dropped.
            self._waiting.clear()
            self._waiting_bytes = 0
        if self._writing_paused and self._waiting_bytes <= _WRITE_LOW_WATER_BYTES:
            self._writing_paused = False
            if not self.closing:
                self.receiver.resume_writing()
        if self._waiting:
            self.schedule()
        elif self.closing:
            self.lose(None)
            self.other.lose(None)

    def lose_both(self, error: Exception) -> None:
        """End both sides: this one with `error`, the other one as by a reset."""
        if not self.lost:
            self.lose(error)
            self.other.lose(ConnectionResetError(errno.ECONNRESET, "the other side aborted the connection"))

    def lose(self, error: Exception | None) -> None:
        """End this side; its receiver learns of it in the next turn of the loop. Idempotent."""
        if self.lost:
            return
        self.lost = self.closing = True
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._close_timer is not None:
            self._close_timer.cancel()
        # From a callback of its own: close() and abort() never call back into a session that is busy calling them.
        self._loop.call_soon(self._tell_loss, error)

    def _tell_loss(self, error: Exception | None) -> None:
        self.receiver.link_lost(error)


def memory_links(first: Receiver, second: Receiver, *, url: str = "memory://pair") -> tuple[Link, Link]:
    """Join two receivers directly and return the link of each. Call it on a running event loop.

    `second` gets its `link_made` first, as a server does whose client has dialled it.
    """
    loop = asyncio.get_running_loop()
    link, other = _MemoryLink(first, url, loop), _MemoryLink(second, url, loop)
    link.other, other.other = other, link
    second.link_made(other)
    first.link_made(link)
    return link, other


class _MemoryListener(Listener):
    def __init__(self, url: str, receivers: Callable[[], Receiver], table: dict[str, _MemoryListener]) -> None:
        self.url = url
        self.receivers = receivers
        self.loop = asyncio.get_running_loop()
        self._table = table

    def __repr__(self) -> str:
        return f"<MemoryListener {self.url}>"

    async def aclose(self) -> None:
        if self._table.get(name_of(self.url)) is self:
            del self._table[name_of(self.url)]


class MemoryTransport(Transport):
    """The names of one process: a listener takes a name, a dial on the same event loop reaches it."""

    def __init__(self) -> None:
        self._listeners: dict[str, _MemoryListener] = {}

    async def dial(self, url: str, receiver: Receiver, *, tls: ssl.SSLContext | None, timeout_s: float) -> Link:
        """Join `receiver` to a new receiver of the listener, at once."""
        _refuse_tls(url, tls)
        listener = self._listeners.get(name_of(url))
        if listener is None:
            message = f"nothing listens at {url} in this process; {self._advice()}"
            raise Unavailable(message, cause=Cause.NOTHING_LISTENS, started=False)
        if listener.loop is not asyncio.get_running_loop():
            message = f"{url} listens on another event loop; memory:// joins two ends of one loop only"
            raise Unavailable(message, cause=Cause.UNREACHABLE, started=False)
        return memory_links(receiver, listener.receivers(), url=url)[0]

    async def listen(
        self,
        url: str,
        receivers: Callable[[], Receiver],
        *,
        tls: ssl.SSLContext | None,
        timeout_s: float = HANDSHAKE_TIMEOUT_S,
        origins: Collection[str] = (),
    ) -> Listener:
        """Take the name, until `aclose`."""
        _refuse_tls(url, tls)
        name = name_of(url)
        taken = self._listeners.get(name)
        # A listener whose loop was closed can never be closed itself; so its name is free.
        if taken is not None and not taken.loop.is_closed():
            message = f"{url} is taken in this process; choose another name or close the server that has it"
            raise Unavailable(message, cause=Cause.ADDRESS_TAKEN)
        listener = self._listeners[name] = _MemoryListener(url, receivers, self._listeners)
        return listener

    def _advice(self) -> str:
        names = ", ".join(f"memory://{name}" for name in sorted(self._listeners)[:5])
        return f"listening here: {names}" if names else "nothing listens on memory:// at all: start the server first"


def _refuse_tls(url: str, tls: ssl.SSLContext | None) -> None:
    if tls is not None:
        raise InvalidArgument(f"{url} never leaves the process and takes no tls=")
