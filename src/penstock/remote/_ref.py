"""`RemoteRef`: an actor at the other side of a connection."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

import msgspec

from penstock.actors import ActorRef, VerbOptions, adopt, caller_here
from penstock.actors.cell import sender_here, subscriber_size
from penstock.calls import (
    CallInfo,
    CallScope,
    Interceptor,
    RemoteStream,
    Request,
    bind,
    call_unary,
    inherited_deadline,
    intercepted,
)
from penstock.channel import Channel, open_channel
from penstock.codec import MSGPACK, UNENCODABLE, decode_marked, refuse_value
from penstock.errors import InvalidArgument, Unavailable
from penstock.protocol import CallKind
from penstock.remote._asks import AskLimits
from penstock.remote._lane_client import Lanes
from penstock.remote._outbound import OutboundMessage
from penstock.remote._wire import PAYLOAD, WAITING, DescribedMessage, PlainMessage
from penstock.service import DEFAULT, CallOptions, Method
from penstock.streams import Dropped, Source

_ANYTHING = MSGPACK.decode_for(Any)
#: Items that may be under way to a fast subscriber without a `buffer_size`. The window begins with one item, and stays there
#: for a slow subscriber and for "latest": other items wait in the port, where its `overflow` drops the old ones.
ON_THE_WAY_MAX: Final = 256


class RemoteRef(ActorRef):
    """An actor at the other side of a connection.

    name: the name or id at the other side.
    address: the address on this side, behind the prefix of its bridge if it has one.
    """

    __slots__ = ("_address", "_guard", "_name", "_scope")

    def __init__(self, scope: CallScope, name: str, address: str | None = None, guard: Interceptor | None = None) -> None:
        self._scope = scope
        self._guard = guard  # of the calls that it begins
        self._name = name
        self._address = address or name

    @property
    def address(self) -> str:
        """The actor's name at the other side, behind the prefix of its bridge if it was found over one."""
        return self._address

    @property
    def id(self) -> str:
        """The actor's name and its process: only the other side knows its real id."""
        return f"{self._name}@{self._scope.instance.hex()}"

    async def tell(self, name: str, payload: Any = None) -> None:
        await OutboundMessage(self._scope, self._name, DescribedMessage(0, name, payload, PAYLOAD), {}).tell()

    def _ask(self, name: str, payload: Any, options: VerbOptions) -> Coroutine[Any, Any, Any]:
        decode = MSGPACK.decode_for(options.type).value
        outbound = OutboundMessage(self._scope, self._name, DescribedMessage(0, name, payload, PAYLOAD), {})
        return outbound.ask(decode, AskLimits(self._deadline(options.timeout), options.cancel))

    def _stream(self, name: str, payload: Any, options: CallOptions, item_type: Any) -> RemoteStream[Any]:
        argument = self._encoded(name, payload)
        body = MSGPACK.encode((name, msgspec.Raw(argument)))
        label, decode = f"{self._address}/{name}", decode_marked(MSGPACK, item_type, Dropped)
        return RemoteStream(
            self._scope,
            Request(
                f"/{self._name}!stream", CallKind.SERVER_STREAMING, MSGPACK, body, decode, options, label, guard=self._guard
            ),
        )

    async def _open_channel(self, payload: Any, options: VerbOptions) -> Channel[Any]:
        target = f"/{self._name}!channel"
        scope, caller = self._scope, caller_here()
        metadata = {WAITING: " ".join(caller.waiting)} if caller.waiting else {}
        call = CallInfo(target, CallKind.BIDIRECTIONAL.label, "caller", metadata=metadata, deadline=None, scope=scope)
        async with intercepted(scope.interceptors, call):  # around the opening, not around the life of the channel
            channel = await open_channel(
                await scope.session_for_calls(None),
                target,
                payload,
                initiator=caller.sender or scope.name,
                messages=options.type,
                timeout=options.timeout,
                buffer_size=cast("int", options.buffer_size),
                metadata=call.metadata,
            )
        adopt(channel)
        return channel

    def _subscribe(self, port: str, options: VerbOptions) -> Source[Any]:
        buffer_size = subscriber_size(options.buffer_size, options.overflow)
        argument = MSGPACK.encode((port, buffer_size, options.overflow))
        call_options = CallOptions(buffer_size=1 if options.overflow == "latest" else buffer_size or ON_THE_WAY_MAX)
        label = f"port {port} of {self._address}"
        return RemoteStream(
            self._scope,
            Request(
                f"/{self._name}!port",
                CallKind.SERVER_STREAMING,
                MSGPACK,
                argument,
                decode_marked(MSGPACK, options.type, Dropped),
                call_options,
                label,
                0 if buffer_size else 1,
                self._guard,
            ),
        )

    async def stop(self) -> None:
        label = f"the stop of {self._address}"
        await call_unary(
            self._scope,
            Request(f"/{self._name}!stop", CallKind.UNARY, MSGPACK, None, _ANYTHING, DEFAULT, label, guard=self._guard),
        )

    # ── for typed stubs ───────────────────────────────────────────────────────────────────────────────────────────────

    def _asking(self, method: Method, options: CallOptions) -> Callable[..., Any]:
        """Return the function that asks the actor by `method`. A plain ask takes the short way, by a `PlainMessage`."""
        if method.kind:
            return bind(self._scope, method._replace(target=f"/{self._name}/{method.name}"), options, self._guard)
        name, values, takes = method.name, method.arguments.values, method.arguments.takes
        decode, metadata, timeout_s = MSGPACK.decode_for(method.response).value, options.metadata, options.timeout
        scope, lanes, address, again = self._scope, self._scope.attached(Lanes), self._name, method.again
        open_lanes, interceptors = lanes.open, scope.interceptors

        async def ask(*args: Any, **kwargs: Any) -> Any:
            body, left = values(args, kwargs) if kwargs or len(args) not in takes else args, again
            deadline = inherited_deadline(timeout_s, 0.0) if timeout_s is None else self._deadline(timeout_s)
            if deadline is None and not metadata and sender_here() is None and not interceptors:
                lane = open_lanes.get(address)
                if lane is None or lane.closing:
                    lane = await lanes.to(address)
                try:
                    return await lane.ask(PlainMessage(0, name, body), decode)
                except Unavailable as error:
                    if not lanes.go_again(lane, error, again):
                        raise
                    left = again - error.started
            outbound = OutboundMessage(scope, address, DescribedMessage(0, name, body), metadata, left)
            return await outbound.ask(decode, AskLimits(deadline))

        return ask

    def _telling(self, method: Method, options: CallOptions) -> Callable[..., Any]:
        """Return the function that tells the actor by `method`. A plain tell takes the short way, by a `PlainMessage`."""
        name, values, takes, metadata = method.name, method.arguments.values, method.arguments.takes, options.metadata
        scope, lanes, address = self._scope, self._scope.attached(Lanes), self._name
        interceptors = scope.interceptors

        async def tell(*args: Any, **kwargs: Any) -> None:
            body = values(args, kwargs) if kwargs or len(args) not in takes else args
            if metadata or interceptors or sender_here() is not None:
                await OutboundMessage(scope, address, DescribedMessage(0, name, body), metadata).tell()
                return
            await lanes.send(address, PlainMessage(0, name, body))

        return tell

    # ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _deadline(self, timeout_s: float | None) -> float | None:
        return inherited_deadline(timeout_s, self._scope.session.loop.time())

    def _encoded(self, type: str, payload: Any) -> bytes:
        try:
            return MSGPACK.encode(payload)
        except UNENCODABLE as error:
            refuse_value(error, f"{self._address}/{type}", InvalidArgument)

    def __repr__(self) -> str:
        return f"<ActorRef {self._address} at {self._scope.remote}>"
