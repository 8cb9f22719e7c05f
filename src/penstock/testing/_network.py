"""A network in one process whose faults are chosen by a seed: `sim://host`. This module never reads the real clock.

::

    with SimulatedNetwork(seed=7, latency_s=(0.02, 0.08), split=0.3) as network:
        async with penstock.serve(Prices(), listen="sim://server"):
            async with penstock.connect("sim://alice@server") as peer:     # alice is the name of the client's host
                ...
                network.partition("alice", "server")                       # nothing passes, nobody is told
                network.heal()                                             # what was held arrives

Run it under `penstock.testing.run`: an hour passes in no time, and the same seed does the same again. A failure inside the
``with`` carries a note with the seed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

from penstock.errors import Cause, InvalidArgument, Unavailable
from penstock.testing._faults import Faults
from penstock.testing._line import SimulatedConnection
from penstock.transports import Link, Listener, Receiver, Transport, register, unregister

#: The host name of a client whose URL names none.
CLIENT = "client"


class SimulatedNetwork(Transport):
    """A network of hosts that are names, under a scheme of its own (`sim`, while the ``with`` lasts).

    `seed` chooses everything that is left to chance. `latency_s`: the least and the most that a packet takes one way; order is
    kept within a direction. `bandwidth_bytes_s`: how much passes in a second and direction (default: any). `split`: the
    probability that a write arrives in pieces. `coalesce`: that it is delayed by up to the latency once more, so that the next
    ones catch up and arrive with it in one piece. Several networks at a time need a `scheme` each.
    """

    def __init__(
        self,
        seed: int,
        *,
        latency_s: tuple[float, float] = (0.0, 0.0),
        bandwidth_bytes_s: float | None = None,
        split: float = 0.0,
        coalesce: float = 0.0,
        scheme: str = "sim",
    ) -> None:
        self.seed = seed
        self.scheme = scheme
        self._faults = Faults(seed, latency_s=latency_s, bandwidth_bytes_s=bandwidth_bytes_s, split=split, coalesce=coalesce)
        #: The generator behind every choice; a scenario may draw its own from it.
        self.random = self._faults.random
        self._listeners: dict[str, _SimulatedListener] = {}
        self._connections: list[SimulatedConnection] = []
        self._cuts: list[_Cut] = []

    def __repr__(self) -> str:
        return f"<SimulatedNetwork {self.scheme}:// seed={self.seed} {self._faults!r} connections={len(self._connections)}>"

    def __enter__(self) -> Self:
        register(self.scheme, self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        unregister(self.scheme)
        if error is not None:
            error.add_note(f"this happened on {self!r}; the same seed repeats it")
        self.cut()

    # ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def partition(self, *hosts: str) -> None:
        """Let nothing pass between the two `hosts` (default: between any), and tell nobody. It is held until `heal`."""
        self._faults.partition(_two(hosts) if hosts else None)

    def heal(self) -> None:
        """End every partition; what was held goes on its way."""
        self._faults.heal()
        for connection in self._connections:
            connection.resume()

    def cut(self, *hosts: str) -> int:
        """Lose the connections between the two `hosts` (default: all) now, with `ConnectionResetError` at both ends.

        What was on its way is lost. Returns how many there were.
        """
        found = self._between(hosts)
        for connection in found:
            connection.cut()
        return len(found)

    def cut_after(self, received_bytes: int, *, source: str, target: str) -> None:
        """Cut the connection at the very byte: when `target` has received so many from `source` on it.

        It holds for the connection that is up between them, else for the next one. With 0, or when it has received as many
        already, it is cut when the next byte would arrive.
        """
        for connection in self._between((source, target)):
            connection.cut_after(received_bytes, target)
            return
        self._cuts.append(_Cut(_two((source, target)), target, received_bytes))

    def silence(self, *hosts: str) -> int:
        """Make the connections between the two `hosts` (default: all) half-open: what is sent vanishes, nobody is told.

        New connections work. Returns how many there were.
        """
        found = self._between(hosts)
        for connection in found:
            connection.silence()
        return len(found)

    def _between(self, hosts: tuple[str, ...]) -> list[SimulatedConnection]:
        wanted = _two(hosts) if hosts else None
        return [one for one in self._connections if wanted is None or one.hosts == wanted]

    # ── what a transport does ─────────────────────────────────────────────────────────────────────────────────────────

    async def dial(self, url: str, receiver: Receiver, *, tls: ssl.SSLContext | None, timeout_s: float) -> Link:
        """Connect after one round trip. `sim://alice@server` dials from the host alice, `sim://server` from client."""
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

    async def listen(self, url: str, receivers: Callable[[], Receiver], *, tls: ssl.SSLContext | None) -> Listener:
        """Listen as the host that `url` names."""
        _, host = _hosts(url)
        if host in self._listeners:
            raise Unavailable(
                f"cannot listen at {url}: the name is taken; close the server that has it", cause=Cause.ADDRESS_TAKEN
            )
        listener = self._listeners[host] = _SimulatedListener(url, receivers, self._listeners)
        return listener

    def _accept(self, url: str, client: str, server: str) -> SimulatedConnection:
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
    """Stands for the client's receiver while the answer is on its way to the client, who neither reads nor writes yet."""

    def link_made(self, link: Link) -> None:
        """Nobody hears."""

    def get_buffer(self, size_hint: int) -> memoryview:
        """Nobody is fed."""
        return memoryview(bytearray(1))

    def buffer_updated(self, size: int) -> None:
        """Nobody takes."""

    def link_lost(self, error: Exception | None) -> None:
        """`dial` sees that the link is lost."""

    def pause_writing(self) -> None:
        """Nobody writes."""

    def resume_writing(self) -> None:
        """Nobody writes."""


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
