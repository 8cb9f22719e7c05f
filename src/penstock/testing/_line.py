"""One simulated connection: two lines, each with its own delays, and a link at either end. This module draws no random number.

What a link writes is cut into packets by the network (`Weather.packets`), each of which arrives at its own time, never before
the one ahead of it. All of it runs on the event loop's clock, so that a virtual one makes it instant and repeatable.
"""

from __future__ import annotations

import asyncio
import errno
import sys
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from penstock.transports import CLOSE_TIMEOUT_S, WRITE_HIGH_WATER_BYTES, Link, Receiver, Segment

#: What the two simulated systems hold of one direction together before the writer's link has to: Linux's default buffers
#: hold about as much.
SYSTEM_BUFFER_BYTES = 256 * 1024

_PAUSE_ABOVE_BYTES = SYSTEM_BUFFER_BYTES + WRITE_HIGH_WATER_BYTES
_RESUME_BELOW_BYTES = SYSTEM_BUFFER_BYTES + WRITE_HIGH_WATER_BYTES // 4


class Packet:
    """Bytes that arrive together; no bytes mean that the sender has closed."""

    __slots__ = ("arrival", "data")

    def __init__(self, data: memoryview, arrival: float) -> None:
        self.data = data
        self.arrival = arrival


class Weather(Protocol):
    """What decides over delays; the network implements it."""

    def packets(self, data: memoryview, after: float) -> list[Packet]:
        """Cut `data` into packets, the first of which arrives not before `after` seconds of the loop's clock."""

    def parted(self, source: str, target: str) -> bool:
        """Return whether nothing passes from `source` to `target` now."""

    def ended(self, connection: Connection) -> None:
        """Forget a connection that is lost at both ends."""


class Connection:
    """Two links that are joined by a line each way."""

    def __init__(self, weather: Weather, client: str, server: str, scheme: str) -> None:
        self.weather = weather
        self.hosts = (client, server)
        self.client = SimulatedLink(self, client, f"{scheme}://{server}")
        self.server = SimulatedLink(self, server, f"{scheme}://{client}")
        self.client.other, self.server.other = self.server, self.client
        self.silent = False

    def __repr__(self) -> str:
        return f"<Connection {self.hosts[0]} → {self.hosts[1]}{' silent' if self.silent else ''}>"

    def cut(self) -> None:
        """Lose both ends at once, with `ConnectionResetError`."""
        for link in (self.client, self.server):
            link.lose(ConnectionResetError(errno.ECONNRESET, "the simulated network cut the connection"))

    def silence(self) -> None:
        """Let everything vanish from now on, without a word to either end."""
        self.silent = True
        self.client.forget()
        self.server.forget()

    def pump(self) -> None:
        """Go on where a partition had stopped."""
        self.client.schedule()
        self.server.schedule()

    def lost_one(self) -> None:
        """Report to the network when both ends are lost."""
        if self.client.lost and self.server.lost:
            self.weather.ended(self)


class SimulatedLink(Link):
    """One end of a simulated connection; it holds what it wrote until the other end has taken it."""

    def __init__(self, connection: Connection, host: str, remote: str) -> None:
        self.remote = remote
        self.host = host
        self.connection = connection
        self.other: SimulatedLink
        self.receiver: Receiver
        self.reading = True
        self.closing = False
        self.lost = False
        self.delivered_bytes = 0
        self.cut_after_bytes: int | None = None
        self._loop = asyncio.get_running_loop()
        self._flying: deque[Packet] = deque()
        self._held_bytes = 0
        self._writable = True
        self._timer: asyncio.TimerHandle | None = None
        self._close_timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        state = "lost" if self.lost else "closing" if self.closing else "up"
        return f"<SimulatedLink {self.host} → {self.remote} {state} holds={self._held_bytes}>"

    def join(self, receiver: Receiver) -> None:
        """Give the link its receiver and tell it."""
        self.receiver = receiver
        receiver.link_made(self)

    def write(self, segments: Sequence[Segment]) -> None:
        """Send the segments on their way."""
        data = b"".join(segments)
        if self.closing or not data:
            return
        self._held_bytes += len(data)
        self._fly(memoryview(data))
        if self._held_bytes > _PAUSE_ABOVE_BYTES and self._writable:
            self._writable = False
            self.receiver.pause_writing()

    def pause_reading(self) -> None:
        """Let what arrives wait in the system."""
        self.reading = False

    def resume_reading(self) -> None:
        """Take what has arrived."""
        if not self.reading:
            self.reading = True
            self.other.schedule()

    def close(self) -> None:
        """Send the end behind all that was written; both sides are lost when it arrives, or this one after a time-out."""
        if not self.closing:
            self.closing = True
            self._close_timer = self._loop.call_later(CLOSE_TIMEOUT_S, self.abort)
            self._fly(memoryview(b""))

    def abort(self) -> None:
        """Lose this end at once; the other one hears of it when the reset arrives."""
        if not self.lost:
            self.lose(ConnectionAbortedError(errno.ECONNABORTED, "aborted by this side"))
            self._fly(memoryview(b""))

    # ── the line to the other end ─────────────────────────────────────────────────────────────────────────────────────

    def _fly(self, data: memoryview) -> None:
        if self.connection.silent:
            return
        after = self._flying[-1].arrival if self._flying else self._loop.time()
        self._flying.extend(self.connection.weather.packets(data, after))
        self.schedule()

    def schedule(self) -> None:
        """Wake up when the next packet arrives, unless it cannot be delivered then."""
        if self._timer is None and self._flying and self._passable():
            self._timer = self._loop.call_at(self._flying[0].arrival, self._arrive)

    def _passable(self) -> bool:
        parted = self.connection.weather.parted(self.host, self.other.host)
        return not parted and not self.other.lost and (self.other.reading or self.lost)

    def _arrive(self) -> None:
        """Deliver every packet whose time has come; those that come at one time come in one piece."""
        self._timer = None
        try:
            while self._flying and self._flying[0].arrival <= self._loop.time() and self._passable():
                self._deliver_one()
        except Exception as error:
            # A receiver must not raise; when it does, the connection is what breaks, as on a socket.
            self.other.lose(error)
            self.connection.cut()
            raise
        self._after_delivery()

    def _deliver_one(self) -> None:
        if not self._flying[0].data:
            self._flying.clear()
            self._deliver_the_end()
        elif self.other.closing:
            self._held_bytes -= len(self._flying.popleft().data)
        elif self.other.room == 0:
            self.connection.cut()
        else:
            self._fill_one_buffer()

    def _fill_one_buffer(self) -> None:
        other, now = self.other, self._loop.time()
        buffer = other.receiver.get_buffer(self._held_bytes)
        room, filled = min(len(buffer), other.room), 0
        while filled < room and self._flying and self._flying[0].data and self._flying[0].arrival <= now:
            packet = self._flying[0]
            size = min(len(packet.data), room - filled)
            buffer[filled : filled + size] = packet.data[:size]
            filled += size
            packet.data = packet.data[size:]
            if not packet.data:
                self._flying.popleft()
        self._held_bytes -= filled
        other.take(filled)

    @property
    def room(self) -> int:
        """How many bytes may still be fed: up to the one at which the connection is to be cut."""
        return sys.maxsize if self.cut_after_bytes is None else max(self.cut_after_bytes - self.delivered_bytes, 0)

    def take(self, size: int) -> None:
        """Feed the receiver what was put into its buffer, and cut the connection where it is to be cut."""
        self.delivered_bytes += size
        self.receiver.buffer_updated(size)
        if self.room == 0:
            self.connection.cut()

    def _after_delivery(self) -> None:
        if not self._writable and self._held_bytes <= _RESUME_BELOW_BYTES and not self.closing:
            self._writable = True
            self.receiver.resume_writing()
        self.schedule()

    def _deliver_the_end(self) -> None:
        if self.lost:
            self.other.lose(ConnectionResetError(errno.ECONNRESET, "the other side aborted the connection"))
        else:
            self.lose(None)
            self.other.lose(None)

    def lose(self, error: Exception | None) -> None:
        """Tell the receiver that the link is lost, once, from a callback of its own."""
        if self.lost:
            return
        self.lost = self.closing = True
        self.forget()
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._loop.call_soon(self.receiver.link_lost, error)
        self.connection.lost_one()

    def forget(self) -> None:
        """Drop what has not arrived. It stays counted: a system holds what nobody acknowledges."""
        self._flying.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
