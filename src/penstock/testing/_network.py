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
import itertools
import random
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Self

from penstock.errors import InvalidArgument, Unavailable
from penstock.testing._line import Connection, Packet
from penstock.transports import Link, Listener, Receiver, Transport, register, unregister

#: The host name of a client whose URL names none.
CLIENT = "client"

#: How many pieces one write is split into at most.
PIECES_MAX = 8


class SimulatedNetwork(Transport):
    """A network of hosts that are names, under a scheme of its own (`sim`, while the ``with`` lasts).

    `seed` chooses everything that is left to chance. `latency_s`: the least and the most that a packet takes one way; order is
    kept within a direction. `bandwidth_bytes_s`: how much passes in a second and direction (default: any). `split`: the
    probability that a write arrives in pieces. `coalesce`: that it arrives late enough to meet the next. Several networks at
    a time need a `scheme` each.
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
        if not 0 <= latency_s[0] <= latency_s[1]:
            raise ValueError(f"latency_s is {latency_s}: the least and the most, in seconds")
        self.seed = seed
        self.scheme = scheme
        #: The generator behind every choice; a scenario may draw its own from it.
        self.random = random.Random(seed)
        self._latency_s = latency_s
        self._bandwidth_bytes_s = bandwidth_bytes_s
        self._split = split
        self._coalesce = coalesce
        self._listeners: dict[str, _SimulatedListener] = {}
        self._connections: list[Connection] = []
        self._cuts: list[tuple[str, str, int]] = []
        self._parted: set[frozenset[str]] = set()
        self._all_parted = False
        self._healed = asyncio.Event()

    def __repr__(self) -> str:
        parted = "all" if self._all_parted else len(self._parted)
        return (
            f"<SimulatedNetwork {self.scheme}:// seed={self.seed} latency_s={self._latency_s} "
            f"connections={len(self._connections)} parted={parted}>"
        )

    def __enter__(self) -> Self:
        register(self.scheme, self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        unregister(self.scheme)
        self.cut()
        if error is not None:
            error.add_note(f"this happened on {self!r}; the same seed repeats it")

    # ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def partition(self, *hosts: str) -> None:
        """Let nothing pass between the two `hosts` (default: between any), and tell nobody. It is held until `heal`."""
        if not hosts:
            self._all_parted = True
        else:
            self._parted.add(_two(hosts))
        self._healed.clear()

    def heal(self) -> None:
        """End every partition; what was held goes on its way."""
        self._all_parted = False
        self._parted.clear()
        self._healed.set()
        for connection in self._connections:
            connection.pump()

    def cut(self, *hosts: str) -> int:
        """Lose the connections between the two `hosts` (default: all) now, with `ConnectionResetError` at both ends.

        What was on its way is lost. Returns how many there were.
        """
        found = self._between(hosts)
        for connection in found:
            connection.cut()
        return len(found)

    def silence(self, *hosts: str) -> int:
        """Make the connections between the two `hosts` (default: all) half-open: what is sent vanishes, nobody is told.

        New connections work. Returns how many there were.
        """
        found = self._between(hosts)
        for connection in found:
            connection.silence()
        return len(found)

    def cut_after(self, received_bytes: int, *, source: str, target: str) -> None:
        """Cut the connection at the very byte: when `target` has received so many from `source` on it.

        It holds for the connection that is up between them, else for the next one. With 0, or when it has received as many
        already, it is cut when the next byte would arrive.
        """
        for connection in self._between((source, target)):
            _set_cut(connection, target, received_bytes)
            return
        self._cuts.append((source, target, received_bytes))

    def _between(self, hosts: tuple[str, ...]) -> list[Connection]:
        wanted = _two(hosts) if hosts else None
        return [one for one in self._connections if wanted is None or frozenset(one.hosts) == wanted]

    # ── what a transport does ─────────────────────────────────────────────────────────────────────────────────────────

    async def dial(self, url: str, receiver: Receiver, *, tls: ssl.SSLContext | None, timeout_s: float) -> Link:
        """Connect after one round trip. `sim://alice@server` dials from the host alice, `sim://server` from client."""
        client, server = _hosts(url)
        try:
            async with asyncio.timeout(timeout_s):
                await self._cross(client, server)
                connection = self._accept(url, client, server)
                try:
                    await self._cross(server, client)
                except BaseException:
                    connection.cut()
                    raise
        except TimeoutError:
            raise Unavailable(f"{url} did not answer within {timeout_s:g} s", started=False) from None
        if connection.client.lost:
            raise Unavailable(f"{url} closed the connection while it was made", started=False)
        connection.client.join(receiver)
        connection.client.resume_reading()
        return connection.client

    async def listen(self, url: str, receivers: Callable[[], Receiver], *, tls: ssl.SSLContext | None) -> Listener:
        """Listen as the host that `url` names."""
        _, host = _hosts(url)
        if host in self._listeners:
            raise Unavailable(f"cannot listen at {url}: the name is taken; close the server that has it")
        listener = self._listeners[host] = _SimulatedListener(url, host, receivers, self._listeners)
        return listener

    async def _cross(self, source: str, target: str) -> None:
        await asyncio.sleep(self._latency())
        while self.parted(source, target):
            await self._healed.wait()

    def _accept(self, url: str, client: str, server: str) -> Connection:
        listener = self._listeners.get(server)
        if listener is None:
            raise Unavailable(f"nothing listens at {url} on {self!r}", started=False)
        connection = Connection(self, client, server, self.scheme)
        self._connections.append(connection)
        # Not before it has a receiver: the server may write in link_made.
        connection.client.receiver = _Nobody()
        connection.client.pause_reading()
        for cut in [cut for cut in self._cuts if {cut[0], cut[1]} == {client, server}]:
            self._cuts.remove(cut)
            _set_cut(connection, cut[1], cut[2])
        connection.server.join(listener.receivers())
        return connection

    # ── what decides over delays ──────────────────────────────────────────────────────────────────────────────────────

    def packets(self, data: memoryview, after: float) -> list[Packet]:
        """Cut `data` by chance, and give each piece its time of arrival."""
        found = []
        now = asyncio.get_running_loop().time()
        for piece in self._pieces(data):
            after = max(after, now + self._latency()) + self._transfer_s(len(piece))
            if self._coalesce and self.random.random() < self._coalesce:
                after += self.random.uniform(0.0, self._latency_s[1])
            found.append(Packet(piece, after))
        return found

    def parted(self, source: str, target: str) -> bool:
        """Return whether a partition holds between the two."""
        return self._all_parted or frozenset((source, target)) in self._parted

    def ended(self, connection: Connection) -> None:
        """Forget a connection."""
        if connection in self._connections:
            self._connections.remove(connection)

    def _pieces(self, data: memoryview) -> list[memoryview]:
        if len(data) <= 1 or not self._split or self.random.random() >= self._split:
            return [data]
        count = min(self.random.randint(1, PIECES_MAX - 1), len(data) - 1)
        places = [0, *sorted(self.random.sample(range(1, len(data)), count)), len(data)]
        return [data[start:end] for start, end in itertools.pairwise(places)]

    def _latency(self) -> float:
        return self.random.uniform(*self._latency_s)

    def _transfer_s(self, size: int) -> float:
        return size / self._bandwidth_bytes_s if self._bandwidth_bytes_s else 0.0


class _SimulatedListener(Listener):
    def __init__(self, url: str, host: str, receivers: Callable[[], Receiver], table: dict[str, _SimulatedListener]) -> None:
        self.url = url
        self.receivers = receivers
        self._host = host
        self._table = table

    async def aclose(self) -> None:
        if self._table.get(self._host) is self:
            del self._table[self._host]


class _Nobody:
    """Stands for the client's receiver until the answer has reached the client."""

    def link_made(self, link: Link) -> None:
        """Nobody hears."""

    def get_buffer(self, size_hint: int) -> memoryview:
        """Nobody is fed: reading is paused."""
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


def _set_cut(connection: Connection, target: str, received_bytes: int) -> None:
    link = connection.client if connection.client.host == target else connection.server
    link.cut_after_bytes = received_bytes
