"""Two sessions that are joined directly, with an endpoint that writes down what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Self

from penstock.codec import MSGPACK
from penstock.protocol import Accept, Cancel, Grant, Open, ReceiveHalf, Settings, Status
from penstock.protocol._decoder import READ_BYTES
from penstock.session import Endpoint, RemoteSink, RemoteSource, Session, StreamHandle
from penstock.session._process import READY_COST_BYTES
from penstock.testing import memory_pair
from penstock.transports import Link, Receiver, Segment


def held_for_peer(session: Session) -> int:
    """Return the bytes that a session holds for its peer, without what it weighs by itself and what is not acknowledged yet."""
    state = session._connection._state
    own = 0 if session.closed.done() else READY_COST_BYTES
    kept = 0 if state.sequence is None else state.sequence._charged_bytes
    return session.budget.held_bytes - own - max(0, len(state.decoder._memory) - READ_BYTES) - kept


class Written(Endpoint):
    """One end of a stream that tells in order what happened."""

    __slots__ = ("events", "sink", "source")

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.sink: RemoteSink[Any] | None = None
        self.source: RemoteSource[Any] | None = None

    def on_accepted(self, accept: Accept) -> None:
        self.events.append("accepted")
        self.on_room()

    def on_items(self) -> None:
        self.events.append("items")
        if self.source is not None:
            self.source.wake()

    def on_room(self) -> None:
        if self.sink is not None:
            self.sink.on_room()

    def on_ended(self, status: Status | None) -> None:
        self.events.append(("ended", status.code if status else 0))

    def on_stop_sending(self, cancel: Cancel) -> None:
        self.events.append("stop")

    def on_cancelled(self, cancel: Cancel) -> None:
        self.events.append("cancelled")

    def on_lost(self, error: Any) -> None:
        self.events.append(type(error).__name__)


class Joined:
    """A client session and a server session; `accepted` are the ends of streams that the server took."""

    def __init__(self, client: Settings | None = None, server: Settings | None = None) -> None:
        self.accepted: list[Written] = []
        self.client = Session("client", client or Settings(), self._accept)
        self.server = Session("server", server or Settings(), self._accept)
        self.window = 8
        self.window_bytes = 1_000_000
        memory_pair(self.client, self.server)

    async def __aenter__(self) -> Self:
        await self.client.ready
        await self.server.ready
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.client.close()
        self.server.close()
        await asyncio.wait([self.client.closed, self.server.closed])

    def _accept(self, stream: StreamHandle) -> None:
        end = Written()
        stream.attach(end)
        stream.accept(Grant(self.window, self.window_bytes) if stream.opened.streams_requests else None)
        end.sink = stream.sink(MSGPACK)
        if stream.receiving is not None:
            end.source = stream.source("test", MSGPACK.decode_for(Any))
        self.accepted.append(end)

    def open(self, kind: int = 3, *, window: int = 8, window_bytes: int = 1_000_000, first: int = 0) -> Written:
        """Open a stream from the client; with `first` its window begins with that many items and may grow to `window`."""
        grant = Grant(window, window_bytes)
        if first:
            grant.start_with(first)
        half = ReceiveHalf(grant)
        opened = Open("test", kind, 0, grant.items, grant.bytes)
        end = Written()
        stream = self.client.open(opened, half, end)
        end.source = stream.source("test", MSGPACK.decode_for(Any))
        if opened.streams_requests:
            end.sink = stream.sink(MSGPACK)
        return end


class CountingLink(Link):
    """A link that carries nothing: it counts writes, and may say stop."""

    def __init__(self) -> None:
        self.remote = "nowhere"
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, segments: Sequence[Segment]) -> None:
        self.writes.append(b"".join(segments))

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def hand_over(self, receiver: Receiver) -> None: ...

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True
