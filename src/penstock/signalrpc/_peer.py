"""`RpcPeer`: one side of the protocol, with the verbs of the original."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from penstock.errors import ConnectionLost, DeadlineExceeded
from penstock.peer import Reconnect
from penstock.signalrpc._handlers import Handler, Handlers
from penstock.signalrpc._messages import (
    FLOW,
    Answer,
    Message,
    RelayFault,
    RpcRequest,
    StreamFrame,
    encode,
    raw,
)
from penstock.signalrpc._requests import Requests, RpcResponse
from penstock.signalrpc._wire import Dial, RpcWire

#: Seconds that a request waits for its answer, as in the original.
REQUEST_S: Final = 4.0


class RpcPeer:
    """A peer at a relay: `signalrpc.connect` makes one at a URL, `Relay.join` one within the process of the relay.

    name: shown to other peers. request_type and response_type: the types of the data of requests and answers, as msgspec knows
    them; any by default. reconnect: how a lost connection is made again; None for never. heartbeat_s: a relay that is silent so
    long is asked, and left after as long again.
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
    ) -> None:
        self.name = name
        self._requests = Requests(response_type)
        self._wire = RpcWire(dial, self, reconnect, heartbeat_s)
        self._handlers = Handlers(request_type, response_type, self._wire.send_now)
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
        await self._wire.aclose()
        await self._handlers.aclose()

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def request(self, data: Any, to: str | None = None, timeout: float = REQUEST_S) -> RpcResponse:
        """Ask, and return the first answer. Cancelling it forgets the request; a handler that runs goes on.

        data: anything that JSON can say. to: the peer that is asked; by default all others of the topic. timeout: seconds.
        Raises the error of a handler of Penstock, `DeadlineExceeded`, `NotFound` when there is not such a peer,
        `ConnectionLost`, and `InvalidArgument` for an answer that does not fit `response_type`.
        """
        request_id = str(uuid.uuid4())
        message = self._message(request_id, data, to)
        answer = self._requests.begin(request_id, to)
        try:
            async with asyncio.timeout(timeout):
                await self._wire.writable()
                self._wire.send_now(message)
                return await answer
        except TimeoutError:
            raise DeadlineExceeded(f"RpcRequest timed out: no peer answered within {timeout:g} s") from None
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

    def _message(self, request_id: str, data: Any, to: str | None) -> bytes:
        me = self._wire.client_id or None
        return encode(RpcRequest(request_id=request_id, from_=me, from_name=self.name, to=to, flow=FLOW, data=raw(data)))

    # ── the calls of the wire ─────────────────────────────────────────────────────────────────────────────────────────

    def came_up(self, *, restored: bool) -> None:
        """Go on with streams."""

    def went_down(self, error: ConnectionLost) -> None:
        """Fail the requests that were sent: whether they were handled is not known."""
        self._requests.fail(error)

    def ended(self, error: Exception) -> None:
        """Fail all that waits."""

    def took(self, message: Message | StreamFrame) -> None:
        """Take a message of another peer, or of the relay."""
        if isinstance(message, RpcRequest):
            self._handlers.handle(message)
        elif isinstance(message, Answer):
            self._requests.take(message)
        elif isinstance(message, RelayFault):
            self._requests.take_fault(message)
