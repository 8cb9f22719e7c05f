"""A network in one process, ``sim://host``, whose faults are drawn from a seed. It never reads the real clock.

::

    with SimulatedNetwork(seed=7, latency_s=(0.02, 0.08), split=0.3) as network:
        async with penstock.serve(Prices(), listen="sim://server"):
            async with penstock.connect("sim://alice@server") as peer:     # alice is the name of the client's host
                ...
                network.partition("alice", "server")                       # no packet passes, neither side is told
                network.heal()                                             # the held packets arrive

Run it under `penstock.testing.run`: an hour passes at once, and the same seed gives the same run. An exception that leaves the
``with`` block carries a note with the seed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Collection
from types import TracebackType
from typing import NamedTuple, Self

from penstock.errors import Cause, InvalidArgument, Unavailable
from penstock.testing._faults import Faults
from penstock.testing._line import SimulatedConnection
from penstock.transports import HANDSHAKE_TIMEOUT_S, Link, Listener, Receiver, Transport, register, unregister

#: The host name of a client whose URL names none.
CLIENT = "client"


class SimulatedNetwork(Transport):
    """A network whose hosts are names, under the URL scheme `scheme`, which is registered while the ``with`` block lasts.

    seed: decides every random choice. latency_s: the least and the most time that a packet takes in one direction, in seconds
    (0 by default); the order within a direction is kept. bandwidth_bytes_s: bytes per second and direction; None sets no limit.
    split: the probability that a write arrives in pieces. coalesce: the probability that a packet is delayed once more, by up
    to the latency, so that the next packets arrive together with it. loss: the probability that a packet is lost below the
    connection, as an IP packet is: TCP sends it again after 0.2 s or more, and what is behind it waits. scheme: "sim" by
    default; each of several networks at a time needs its own. Raises `ValueError` when `latency_s` is negative or in the wrong
    order. Leaving the block cuts all connections.
    """

    def __init__(
        self,
        seed: int,
        *,
        latency_s: tuple[float, float] = (0.0, 0.0),
        bandwidth_bytes_s: float | None = None,
        split: float = 0.0,
        coalesce: float = 0.0,
        loss: float = 0.0,
        scheme: str = "sim",
    ) -> None:
        self.seed = seed
        self.scheme = scheme
        self._faults = Faults(
            seed, latency_s=latency_s, bandwidth_bytes_s=bandwidth_bytes_s, split=split, coalesce=coalesce, loss=loss
        )
        #: The generator of every random choice; a scenario may draw its own numbers from it.
        self.random = self._faults.random
        self._listeners: dict[str, _SimulatedListener] = {}
        self._connections: list[SimulatedConnection] = []
        self._cuts: list[_Cut] = []

    def __repr__(self) -> str:
        return f"<SimulatedNetwork {self.scheme}:// seed={self.seed} {self._faults!r} connections={len(self._connections)}>"

    def __enter__(self) -> Self:
        register(self.scheme, self)
        return self

    def __exit__(self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        unregister(self.scheme)
        if error is not None:
            error.add_note(f"this happened on {self!r}; the same seed repeats it")
        self.cut()

    # ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def partition(self, *hosts: str) -> None:
        """Let no packet pass between the two `hosts` (default: between any) until `heal`, and tell neither of them.

        Packets are held, not lost. Raises `ValueError` unless none or two hosts are named.
        """
        self._faults.partition(_two(hosts) if hosts else None)

    def heal(self) -> None:
        """End every partition, and deliver the packets that were held."""
        self._faults.heal()
        for connection in self._connections:
            connection.resume()

    def cut(self, *hosts: str) -> int:
        """Cut the connections between the two `hosts` (default: all) now, with `ConnectionResetError` at both ends.

        Packets on their way are lost. Returns the number of connections that were cut.
        """
        connections = self._between(hosts)
        for connection in connections:
            connection.cut()
        return len(connections)

    def cut_after(self, received_bytes: int, *, source: str, target: str) -> None:
        """Cut a connection at an exact byte: when `target` has received `received_bytes` from `source`.

        This applies to the present connection between them, or to the next one when there is none. When `target` has already
        received as many, or with 0, the connection is cut when the next byte would arrive.
        """
        for connection in self._between((source, target)):
            connection.cut_after(received_bytes, target)
            return
        self._cuts.append(_Cut(_two((source, target)), target, received_bytes))

    def silence(self, *hosts: str) -> int:
        """Make the connections between the two `hosts` (default: all) half-open: all packets are lost, and neither end is told.

        New connections work. Returns the number of connections that were silenced.
        """
        connections = self._between(hosts)
        for connection in connections:
            connection.silence()
        return len(connections)

    def _between(self, hosts: tuple[str, ...]) -> list[SimulatedConnection]:
        pair = _two(hosts) if hosts else None
        return [one for one in self._connections if pair is None or one.hosts == pair]

    # ── the transport ─────────────────────────────────────────────────────────────────────────────────────────

    async def dial(self, url: str, receiver: Receiver, *, tls: ssl.SSLContext | None, timeout_s: float) -> Link:
        """Connect, after one round trip, and return the link; see `Transport.dial`.

        ``sim://alice@server`` dials from the host "alice", ``sim://server`` from the host "client". Raises `Unavailable` when
        no server listens there, or when it does not answer within `timeout_s`.
        """
        client, server = _hosts(url)
        try:
            async with asyncio.timeout(timeout_s):
                await self._faults.travel(client, server)
                connection = self._accept(url, client, server)
                try:
                    await self._faults.travel(server, client)
                except BaseException:
                    connection.cut()
                    raise
        except TimeoutError:
            raise Unavailable(f"{url} did not answer within {timeout_s:g} s", cause=Cause.TIMED_OUT, started=False) from None
        link = connection.client
        if link.lost:
            raise Unavailable(f"{url} closed the connection while it was made", cause=Cause.LOST, started=False)
        link.attach(receiver)
        link.resume_reading()
        return link

    async def listen(
        self,
        url: str,
        receivers: Callable[[], Receiver],
        *,
        tls: ssl.SSLContext | None,
        timeout_s: float = HANDSHAKE_TIMEOUT_S,
        origins: Collection[str] = (),
    ) -> Listener:
        """Listen as the host that `url` names; see `Transport.listen`. Raises `Unavailable` when the name is taken."""
        _, host = _hosts(url)
        if host in self._listeners:
            raise Unavailable(
                f"cannot listen at {url}: the name is taken; close the server that has it", cause=Cause.ADDRESS_TAKEN
            )
        listener = self._listeners[host] = _SimulatedListener(url, receivers, self._listeners)
        return listener

    def _accept(self, url: str, client: str, server: str) -> SimulatedConnection:
        """Make a connection and give its server end a receiver; the client end gets its own when `dial` returns."""
        listener = self._listeners.get(server)
        if listener is None:
            raise Unavailable(f"nothing listens at {url} on {self!r}", cause=Cause.NOTHING_LISTENS, started=False)
        receiver = listener.receivers()
        connection = SimulatedConnection(self._faults, (client, server), self.scheme, self._connections.remove)
        self._connections.append(connection)
        for cut in [cut for cut in self._cuts if cut.hosts == connection.hosts]:
            self._cuts.remove(cut)
            connection.cut_after(cut.received_bytes, cut.target)
        connection.client.receiver = _NullReceiver()
        connection.client.pause_reading()
        connection.server.attach(receiver)
        return connection


class _Cut(NamedTuple):
    hosts: frozenset[str]
    target: str
    received_bytes: int


class _SimulatedListener(Listener):
    def __init__(self, url: str, receivers: Callable[[], Receiver], table: dict[str, _SimulatedListener]) -> None:
        self.url = url
        self.receivers = receivers
        self._host = _hosts(url)[1]
        self._table = table

    async def aclose(self) -> None:
        if self._table.get(self._host) is self:
            del self._table[self._host]


class _NullReceiver:
    """The receiver of a client link until `dial` returns: the client neither reads nor writes before that."""

    def link_made(self, link: Link) -> None:
        """Do nothing."""

    def get_buffer(self, size_hint: int) -> memoryview:
        """Return a buffer that is not used."""
        return memoryview(bytearray(1))

    def buffer_updated(self, size: int) -> None:
        """Do nothing."""

    def link_lost(self, error: Exception | None) -> None:
        """Do nothing: `dial` sees that the link is lost."""

    def pause_writing(self) -> None:
        """Do nothing."""

    def resume_writing(self) -> None:
        """Do nothing."""


def _hosts(url: str) -> tuple[str, str]:
    client, separator, server = url.partition("://")[2].rpartition("@")
    if not server or (separator and not client):
        raise InvalidArgument(f"{url!r} names no host; write sim://server, or sim://client@server to name both")
    return client or CLIENT, server


def _two(hosts: tuple[str, ...]) -> frozenset[str]:
    try:
        first, second = hosts
    except ValueError:
        raise ValueError(f"a connection is between two hosts, {len(hosts)} were named: {', '.join(hosts)}") from None
    return frozenset((first, second))
