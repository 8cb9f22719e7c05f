"""One simulated connection: a link at each end, and a line in each direction between them.

The bytes that a link writes travel along its line in packets, whose sizes and times come from `Faults`; no packet overtakes
another one. All times are those of the event loop's clock, so with a virtual clock it is instant and repeatable.
"""

from __future__ import annotations

import asyncio
import errno
import sys
from collections import deque
from collections.abc import Callable, Sequence

from penstock._upkeep import upkeep
from penstock.testing._faults import Faults, Packet
from penstock.transports import CLOSE_TIMEOUT_S, WRITE_HIGH_WATER_BYTES, Link, Receiver, Segment

#: The bytes of one direction that both simulated systems buffer together, before the link of the writer has to. It is about
#: the size of the default buffers of Linux.
SYSTEM_BUFFER_BYTES = 256 * 1024

_PAUSE_ABOVE_BYTES = SYSTEM_BUFFER_BYTES + WRITE_HIGH_WATER_BYTES
_RESUME_BELOW_BYTES = SYSTEM_BUFFER_BYTES + WRITE_HIGH_WATER_BYTES // 4

_END = memoryview(b"")


class SimulatedLine:
    """One direction: the bytes that `source` wrote and `target` has not yet taken."""

    def __init__(self, source: SimulatedLink, target: SimulatedLink, faults: Faults) -> None:
        self._source = source
        self._target = target
        self._faults = faults
        self._loop = asyncio.get_running_loop()
        self._in_flight: deque[Packet] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.held_bytes = 0
        self.silent = False

    def send(self, data: memoryview) -> None:
        """Put `data` on the line; no bytes mean the end. A silent line holds it, as a system does whose peer never answers."""
        self.held_bytes += len(data)
        if not self.silent:
            after = self._in_flight[-1].arrives_at if self._in_flight else self._loop.time()
            self._in_flight.extend(self._faults.packets(data, after))
            self.schedule()

    def drop_packets(self) -> None:
        """Drop the packets that have not arrived."""
        self._in_flight.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def schedule(self) -> None:
        """Set the timer for the next packet, unless it cannot be delivered now."""
        if self._timer is None and self._in_flight and self._can_deliver():
            self._timer = self._loop.call_at(self._in_flight[0].arrives_at, self._arrive)

    def _can_deliver(self) -> bool:
        source, target = self._source, self._target
        # A reset reaches a target that does not read, too.
        heard = not target.lost and (target.reading or source.lost)
        return heard and not self._faults.is_partitioned(source.host, target.host)

    @upkeep
    def _arrive(self) -> None:
        """Deliver every packet whose time has come; packets of the same time arrive in one piece."""
        self._timer = None
        try:
            while self._in_flight and self._in_flight[0].arrives_at <= self._loop.time() and self._can_deliver():
                self._deliver_one()
        except Exception as error:
            # A receiver must not raise; when it does, the connection breaks, as it does on a socket.
            self._target.lose(error)
            self._source.lose(_reset())
            raise
        self._source.resume_writing_if_light()
        self.schedule()

    def _deliver_one(self) -> None:
        if not self._in_flight[0].data:
            self.drop_packets()
            self._deliver_end()
        elif self._target.closing:
            self.held_bytes -= len(self._in_flight.popleft().data)
        elif self._target.receivable_bytes == 0:
            self._target.cut()
        else:
            self._fill_one_buffer()

    def _deliver_end(self) -> None:
        self._target.lose(_reset() if self._source.lost else None)
        self._source.lose(None)

    def _fill_one_buffer(self) -> None:
        """Deliver as many bytes that have arrived as one buffer of the receiver takes."""
        target, now = self._target, self._loop.time()
        buffer = target.receiver.get_buffer(self.held_bytes)
        room, filled = min(len(buffer), target.receivable_bytes), 0
        while filled < room and self._in_flight and self._in_flight[0].data and self._in_flight[0].arrives_at <= now:
            packet = self._in_flight[0]
            size = min(len(packet.data), room - filled)
            buffer[filled : filled + size] = packet.data[:size]
            filled += size
            packet.data = packet.data[size:]
            if not packet.data:
                self._in_flight.popleft()
        self.held_bytes -= filled
        target.receive(filled)


class SimulatedLink(Link):
    """One end of a simulated connection."""

    def __init__(self, connection: SimulatedConnection, host: str, remote: str) -> None:
        self.remote = remote
        self.host = host
        self.receiver: Receiver
        self.outgoing: SimulatedLine
        self.incoming: SimulatedLine
        self.reading = True
        self.closing = False
        self.lost = False
        self.delivered_bytes = 0
        self.cut_after_bytes: int | None = None
        self._connection = connection
        self._writable = True
        self._close_timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        state = "lost" if self.lost else "closing" if self.closing else "up"
        return f"<SimulatedLink {self.host} → {self.remote} {state}>"

    def attach(self, receiver: Receiver) -> None:
        """Set the receiver and call its `link_made`."""
        self.receiver = receiver
        receiver.link_made(self)

    def write(self, segments: Sequence[Segment]) -> None:
        """Put the segments on the line, in one piece unless the faults split it."""
        data = b"".join(segments)
        if self.closing or not data:
            return
        self.outgoing.send(memoryview(data))
        if self.outgoing.held_bytes > _PAUSE_ABOVE_BYTES and self._writable:
            self._writable = False
            self.receiver.pause_writing()

    def pause_reading(self) -> None:
        """Keep arriving bytes in the simulated system."""
        self.reading = False

    def resume_reading(self) -> None:
        """Deliver the bytes that have arrived, and those that arrive from now on."""
        self.reading = True
        self.incoming.schedule()

    def hand_over(self, receiver: Receiver) -> None:
        """Fill the buffers of another receiver."""
        self.receiver = receiver

    def close(self) -> None:
        """Send the end behind all written bytes; both ends are lost when it arrives, or are aborted after `CLOSE_TIMEOUT_S`."""
        if not self.closing:
            self.closing = True
            self._close_timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self.abort)
            self.outgoing.send(_END)

    def abort(self) -> None:
        """Lose this end at once, and the other end when the reset arrives."""
        if not self.lost:
            self.lose(ConnectionAbortedError(errno.ECONNABORTED, "aborted by this side"))
            self.outgoing.send(_END)

    def resume_writing_if_light(self) -> None:
        """Let the receiver write again when enough bytes were delivered."""
        if not self._writable and not self.closing and self.outgoing.held_bytes <= _RESUME_BELOW_BYTES:
            self._writable = True
            self.receiver.resume_writing()

    @property
    def receivable_bytes(self) -> int:
        """How many bytes may still be delivered before the connection is to be cut."""
        return sys.maxsize if self.cut_after_bytes is None else max(self.cut_after_bytes - self.delivered_bytes, 0)

    def receive(self, size: int) -> None:
        """Tell the receiver that `size` bytes are in its buffer, and cut the connection when that was its last byte."""
        self.delivered_bytes += size
        self.receiver.buffer_updated(size)
        if self.receivable_bytes == 0:
            self.cut()

    def cut(self) -> None:
        """Cut the whole connection."""
        self._connection.cut()

    def lose(self, error: Exception | None) -> None:
        """Call `link_lost` of the receiver, once, from a callback of its own."""
        if self.lost:
            return
        self.lost = self.closing = True
        self.outgoing.drop_packets()
        if self._close_timer is not None:
            self._close_timer.cancel()
        asyncio.get_running_loop().call_soon(self._tell_loss, error)
        self._connection.on_link_lost()

    def _tell_loss(self, error: Exception | None) -> None:
        self.receiver.link_lost(error)


class SimulatedConnection:
    """Two links and the two lines between them. `ended` is called when both links are lost."""

    def __init__(
        self, faults: Faults, hosts: tuple[str, str], scheme: str, ended: Callable[[SimulatedConnection], None]
    ) -> None:
        client, server = hosts
        self.hosts = frozenset(hosts)
        self.client = SimulatedLink(self, client, f"{scheme}://{server}")
        self.server = SimulatedLink(self, server, f"{scheme}://{client}")
        self.links = (self.client, self.server)
        self.client.outgoing = self.server.incoming = SimulatedLine(self.client, self.server, faults)
        self.server.outgoing = self.client.incoming = SimulatedLine(self.server, self.client, faults)
        self._ended = ended

    def cut(self) -> None:
        """Lose both ends at once, with `ConnectionResetError`."""
        for link in self.links:
            link.lose(ConnectionResetError(errno.ECONNRESET, "the simulated network cut the connection"))

    def silence(self) -> None:
        """Drop all packets from now on, and tell neither end."""
        for link in self.links:
            link.outgoing.silent = True
            link.outgoing.drop_packets()

    def resume(self) -> None:
        """Continue after a partition."""
        for link in self.links:
            link.outgoing.schedule()

    def cut_after(self, received_bytes: int, target: str) -> None:
        """Cut the connection when the host `target` has received that many bytes, or would receive more."""
        link = self.client if self.client.host == target else self.server
        link.cut_after_bytes = received_bytes

    def on_link_lost(self) -> None:
        """Call `ended` when both ends are lost."""
        if all(link.lost for link in self.links):
            self._ended(self)


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, "the other side aborted the connection")
