"""What every cut fell into, and that at each write no stream has sent more than it was granted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from penstock.protocol import Connection, WireStream
from penstock.session import LastingSession
from penstock.testing._line import SimulatedConnection

#: The moments of cuts that are counted, in the order of the report. A cut may fall into several.
MOMENTS: Final = (
    "first handshake",
    "during a resume",
    "before the first item",
    "between an item and its credit",
    "during a half-close",
    "nothing under way",
)


class Census:
    """Counts the cuts of one program. sessions: the two sides of each client, by its host.

    `cuts` has one count for each cut, `moments` one for each moment that a cut fell into.
    """

    def __init__(self, world: Any) -> None:
        self._world = world
        self.cuts = 0
        self.moments: Counter[str] = Counter()
        self.writes = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Count while the block lasts."""
        cut, write = SimulatedConnection.cut, Connection.data_to_send

        def counted_cut(connection: SimulatedConnection) -> None:
            if not any(link.lost for link in connection.links):
                self._note(connection)
            cut(connection)

        def checked_write(connection: Connection, *args: Any) -> Any:
            segments = write(connection, *args)
            self._check(connection)
            return segments

        SimulatedConnection.cut, Connection.data_to_send = counted_cut, checked_write  # type: ignore[method-assign]
        try:
            yield
        finally:
            SimulatedConnection.cut, Connection.data_to_send = cut, write  # type: ignore[method-assign]

    def _check(self, connection: Connection) -> None:
        """Check `sent ≤ granted` for every stream of one side, after a write of it."""
        self.writes += 1
        for stream in connection.streams.begun.values():
            half = stream.send
            if half is not None and stream.sending != "closed" and half.sent > half.limit.items:
                self._world.wrong(f"credit: {half.sent} items were sent, and {half.limit.items} granted ({stream!r})")

    def _note(self, connection: SimulatedConnection) -> None:
        self.cuts += 1
        moments = self._moments(connection)
        self.moments.update(moments or {"nothing under way"})

    def _moments(self, connection: SimulatedConnection) -> set[str]:
        client = getattr(connection.client, "receiver", None)
        if not isinstance(client, LastingSession) or client.hello is None:
            return {"first handshake"}
        if client.detached:
            return {"during a resume"}
        server = self._world.other_side(client)
        if server is None or server.hello is None:
            return {"first handshake"}
        found: set[str] = set()
        for near in client._connection.streams.begun.values():
            far = server._connection.streams.begun.get(near.id)
            if far is None:
                found.add("before the first item")  # its `OPEN` is on its way
                continue
            found |= _of_stream(near, far) | _of_stream(far, near)
        return found


def _of_stream(sender: WireStream, receiver: WireStream) -> set[str]:
    """Return what the direction from `sender` to `receiver` is in the middle of."""
    found = set()
    if (sender.sending == "ended") != (sender.receiving == "ended"):
        found.add("during a half-close")
    if sender.send is None or receiver.receive is None or sender.sending in {"ended", "closed"}:
        return found
    if receiver.receive.arrived == 0:
        found.add("before the first item")
    if receiver.receive.grant.consumed_items > sender.send.limit.consumed:
        found.add("between an item and its credit")
    return found
