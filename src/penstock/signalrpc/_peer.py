"""`RpcPeer`: one side of the protocol, with the verbs of the original."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterable, Callable
from types import TracebackType
from typing import Any, Final, Literal, Self

from penstock.errors import ConnectionLost, DeadlineExceeded, Unavailable
from penstock.peer import Reconnect
from penstock.signalrpc._handlers import Handler, Handlers, requester
from penstock.signalrpc._messages import (
    FLOW,
    Answer,
    Message,
    OfStream,
    RelayFault,
    RpcRequest,
    StreamFrame,
    encode,
    raw,
)
from penstock.signalrpc._rates import Rate
from penstock.signalrpc._requests import Requests, RpcResponse
from penstock.signalrpc._wire import Dial, RpcWire
from penstock.signalrpc.streams import RESUME_S, PeerStreams, SentStream, StreamOptions
from penstock.streams import Source

#: Seconds that a request waits for its answer, as in the original.
REQUEST_S: Final = 4.0

#: How many items a sender with flow control may be ahead, by default.
BUFFER: Final = 256

#: Addresses of peers with flow control that are remembered.
FLOWING_MAX: Final = 10_000


PriorityName = Literal["interactive", "normal", "bulk"]


class RpcPeer:
    """A peer at a relay; `signalrpc.connect` makes one.

    name: shown to other peers. request_type and response_type: the types of the data of requests and answers, as msgspec knows
    them; any by default. reconnect: how a lost connection is made again; None for never. heartbeat_s: a relay that is silent so
    long is asked, and left after as long again. resume_s: how long streams of two peers of Penstock outlive a lost connection.
    """

    def __init__(
        self,
        dial: Dial,
        *,
        name: str = "RpcPeer",
        request_type: Any = Any,
        response_type: Any = Any,
        reconnect: Reconnect | None = None,
        heartbeat_s: float = 30.0,
        resume_s: float = RESUME_S,
    ) -> None:
        self.name = name
        self._requests = Requests(response_type)
        self._wire = RpcWire(dial, self, reconnect, heartbeat_s)
        self._handlers = Handlers(request_type, response_type, self._wire)
        self._streams = PeerStreams(self._wire, resume_s)
        self._flowing: dict[str, None] = {}
        self._handlers.identity = lambda: (self._wire.client_id or None, self.name)

    def __repr__(self) -> str:
        return f"<RpcPeer {self.name} {self._wire.client_id} {self.state}>"

    async def __aenter__(self) -> Self:
        """Connect. Raises `Unavailable`."""
        await self._wire.open()
        return self

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def client_id(self) -> str:
        """The address of this peer at its relay; a connection that is made again may have another one."""
        return self._wire.client_id

    @property
    def session_id(self) -> str:
        """The secret by which this peer gets its address again; empty where the relay gives none."""
        return self._wire.session_id

    @property
    def state(self) -> str:
        """Return "open", "connecting" or "closed"."""
        return self._wire.state

    async def aclose(self) -> None:
        """End the connection and all that goes over it, and wait for its handlers. Idempotent."""
        self._streams.leave()
        await self._wire.aclose()
        await self._handlers.aclose()
        await self._streams.aclose()

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def request(self, data: Any, to: str | None = None, timeout: float = REQUEST_S) -> RpcResponse:
        """Ask, and return the first answer. Cancelling it forgets the request; a handler that runs goes on.

        data: anything that JSON can say. to: the peer that is asked; by default all others of the topic. timeout: seconds.
        Raises the error of a handler of Penstock, `DeadlineExceeded`, `NotFound` when there is not such a peer,
        `ConnectionLost`, and `InvalidArgument` for an answer that does not fit `response_type`.
        """
        request_id = str(uuid.uuid4())
        message = self._message(request_id, data, to)
        try:
            async with asyncio.timeout(timeout):
                await self._wire.writable()
                answer = self._requests.begin(request_id, to)
                self._wire.send_now(message)
                return await answer
        except TimeoutError:
            raise DeadlineExceeded(f"Request timed out: no peer answered within {timeout:g} s") from None
        finally:
            self._requests.end(request_id)

    async def send(self, data: Any, to: str | None = None) -> None:
        """Send a message without an answer; wait while the connection is down or full."""
        message = self._message(str(uuid.uuid4()), data, to)
        await self._wire.writable()
        self._wire.send_now(message)

    def match(self, handler: Handler) -> Callable[[], None]:
        """Call ``handler(data, from_)`` for each request, in a task of its own; return the function that removes it.

        It may be async. Its result is the answer; None gives none. A `StatusError` that it raises reaches the peer that asked;
        the text of another error stays in the log. A stream that it sends is for the peer that asked, unless it says otherwise.
        """
        return self._handlers.add(handler)

    def on_notification(self, handler: Handler) -> Callable[[], None]:
        """Call ``handler(data, from_)`` for each message that fits `response_type` and not `request_type`."""
        return self._handlers.add(handler, notifications=True)

    # ── streams ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def send_stream(
        self,
        items: AsyncIterable[Any],
        stream_id: str | None = None,
        *,
        to: str | None = None,
        priority: PriorityName = "normal",
        items_per_s: float | None = None,
        bytes_per_s: float | None = None,
        compress: bool = False,
    ) -> SentStream:
        """Send the items of an async iterable, from now on; ``await`` the result for the end.

        stream_id: by which the other peer receives it; a new one by default. to: the receiver; by default the peer whose
        request the running handler handles, and outside of one all others of the topic.

        priority: "interactive", "normal" or "bulk": 16 : 4 : 1 messages while the connection is full. items_per_s and
        bytes_per_s: how fast it may be. compress: whether batches of it are compressed, for a receiver of Penstock.

        The iterable is pulled as the receiver takes the items: exactly, when both peers are of Penstock and have exchanged a
        request, else as fast as the connection takes them. Raises `AlreadyExists` for the id of a stream that is open, and
        `Unavailable` when this peer is closed.
        """
        _check_open(self)
        receiver = to or requester.get()
        flow = receiver in self._flowing
        how = StreamOptions(flow, priority, compress and flow)
        return self._streams.send(items, stream_id, receiver, how, Rate(items_per_s, bytes_per_s))

    def receive_stream(
        self,
        stream_id: str | None = None,
        *,
        buffer_size: int = BUFFER,
        type: Any = Any,  # noqa: A002 - the type of the items
        items_per_s: float | None = None,
        bytes_per_s: float | None = None,
    ) -> tuple[str, Source[Any]]:
        """Return the id and the items of a stream; frames that have come before are the first.

        buffer_size: how many items the sender may be ahead of this reader, when it is one of Penstock; of another sender, 1,024
        items may wait, and one more fails the stream with `ResourceExhausted`. type: that of the items. items_per_s and
        bytes_per_s: how fast a sender of Penstock is asked to be. Raises `AlreadyExists` for a stream that is being received.
        """
        _check_open(self)
        return self._streams.receive(stream_id, buffer_size, type, Rate(items_per_s, bytes_per_s))

    def abort_stream(self, stream_id: str) -> None:
        """Abort a stream that this peer sends: its iterable is closed, and the receiver gets `Cancelled`."""
        self._streams.abort(stream_id)

    def close_receiving_stream(self, stream_id: str) -> None:
        """Leave a stream that this peer receives, as ``source.aclose()`` does: a sender of Penstock stops."""
        self._streams.close(stream_id)

    def _message(self, request_id: str, data: Any, to: str | None) -> bytes:
        me = self._wire.client_id or None
        return encode(RpcRequest(request_id=request_id, from_=me, from_name=self.name, to=to, flow=FLOW, data=raw(data)))

    # ── the calls of the wire ─────────────────────────────────────────────────────────────────────────────────────────

    def came_up(self, *, restored: bool) -> None:
        """Go on with streams."""
        self._streams.came_up(restored=restored)

    def went_down(self, error: ConnectionLost) -> None:
        """Fail the requests that were sent: whether they were handled is not known."""
        self._requests.fail(error)
        self._streams.went_down(error, for_good=False)

    def ended(self, error: Exception) -> None:
        """Fail all that waits."""
        lost = ConnectionLost(str(error))
        self._requests.fail(lost)
        self._streams.went_down(lost, for_good=True)

    def writable(self) -> None:
        """Let streams write that wait."""
        self._streams.outlet.opened()

    def took(self, message: Message | StreamFrame) -> None:
        """Take a message of another peer, or of the relay."""
        if isinstance(message, RpcRequest):
            self._note(message)
            self._handlers.handle(message)
        elif isinstance(message, Answer):
            self._note(message)
            self._requests.take(message)
        elif isinstance(message, OfStream):
            self._streams.take(message)
        elif isinstance(message, RelayFault) and message.target_id is not None:
            self._requests.take_fault(message)
            self._streams.take_absence(message.target_id)

    def _note(self, message: RpcRequest | Answer) -> None:
        """Remember that a peer has flow control."""
        if message.flow and message.from_:
            self._flowing.pop(message.from_, None)
            self._flowing[message.from_] = None
            if len(self._flowing) > FLOWING_MAX:
                del self._flowing[next(iter(self._flowing))]


def _check_open(peer: RpcPeer) -> None:
    if peer.state == "closed":
        raise Unavailable("this peer is closed", started=False)
