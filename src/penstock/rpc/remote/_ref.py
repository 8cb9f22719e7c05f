"""An actor elsewhere: `RemoteRef`, reached over a `Peer`. It keeps no message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Unpack, cast

import msgspec

from penstock.channel import BUFFER_SIZE, OPEN_TIMEOUT_S, Channel, open_channel
from penstock.codec import MSGPACK, UNENCODABLE, decode_marked
from penstock.errors import InvalidArgument
from penstock.rpc._context import CallInfo, inherited_deadline
from penstock.rpc._options import DEFAULT, CallOptions
from penstock.rpc._request import Request
from penstock.rpc._service import Method
from penstock.rpc._stream import RemoteStream
from penstock.rpc._stub import bind
from penstock.rpc.addressed import (
    ARGUMENTS,
    ASK_TIMEOUT_S,
    NOBODY,
    PAYLOAD,
    ActorRef,
    AskOptions,
    ChannelOptions,
    LaneMessage,
    PortOptions,
    ShortMessage,
    here,
)
from penstock.rpc.remote._lane import Limits, lane_to
from penstock.streams import Dropped, Source

if TYPE_CHECKING:
    from penstock.rpc._peer import Peer

_ANYTHING = MSGPACK.decode_for(Any)
_PUBLISHED = decode_marked(MSGPACK, Any, Dropped)
Decoded = Callable[[Any], Any]


class RemoteRef(ActorRef):
    """An actor at the other side of a connection."""

    __slots__ = ("_address", "peer")

    def __init__(self, peer: Peer, address: str) -> None:
        self.peer = peer
        self._address = address

    @property
    def address(self) -> str:
        """Its name there."""
        return self._address

    @property
    def id(self) -> str:
        """Its name there, and where that is: the other side knows its real one."""
        return f"{self._address}@{self.peer.instance.hex()}"

    async def tell(self, type: str, payload: Any = None) -> None:
        await self._send(LaneMessage(0, type, payload, PAYLOAD))

    async def ask(self, type: str, payload: Any = None, **options: Unpack[AskOptions]) -> Any:
        cancel = options.get("cancel")
        if cancel is not None:
            cancel.check()
        limits = Limits(self._deadline(options.get("timeout", ASK_TIMEOUT_S)), cancel)
        return await self._ask(LaneMessage(0, type, payload, PAYLOAD), _ANYTHING.value, limits, {})

    def _stream(self, type: str, payload: Any, options: CallOptions) -> RemoteStream[Any]:
        argument = self._encoded(type, payload)
        request = Request(
            f"/{self._address}!stream", 2, MSGPACK, MSGPACK.encode((type, msgspec.Raw(argument))), _ANYTHING, options
        )
        return RemoteStream(self.peer, request)

    async def open_channel(self, payload: Any = None, **options: Unpack[ChannelOptions]) -> Channel[Any]:
        channel = await open_channel(
            self.peer.session,
            f"/{self._address}!channel",
            payload,
            initiator=here.find().sender or self.peer.name,
            messages=options.get("messages", Any),
            timeout=options.get("timeout", OPEN_TIMEOUT_S),
            buffer_size=options.get("buffer_size", BUFFER_SIZE),
        )
        here.adopt(channel)
        return channel

    def subscribe(self, port: str, **options: Unpack[PortOptions]) -> Source[Any]:
        argument = MSGPACK.encode((port, options.get("buffer_size"), options.get("overflow")))
        chosen = CallOptions(buffer_size=options.get("buffer_size"))
        return RemoteStream(self.peer, Request(f"/{self._address}!port", 2, MSGPACK, argument, _PUBLISHED, chosen))

    async def stop(self) -> None:
        await self.peer.unary(Request(f"/{self._address}!stop", 0, MSGPACK, None, _ANYTHING, DEFAULT))

    # ── for typed stubs ───────────────────────────────────────────────────────────────────────────────────────────────

    def _asking(self, method: Method, options: CallOptions) -> Callable[..., Any]:
        if method.kind:
            return bind(self.peer, method._replace(target=f"/{self._address}/{method.name}"), options)
        name, values, takes = method.name, method.arguments.values, method.arguments.takes
        decode, metadata, timeout_s = MSGPACK.decode_for(method.response).value, options.metadata, options.timeout
        peer, lanes, address, find = self.peer, self.peer.lanes, self._address, here.find

        async def ask(*args: Any, **kwargs: Any) -> Any:
            body = values(args, kwargs) if kwargs or len(args) not in takes else args
            deadline = inherited_deadline(timeout_s, 0.0) if timeout_s is None else self._deadline(timeout_s)
            if deadline is None and not metadata and find() is NOBODY and not peer.interceptors:
                lane = lanes.get(address)
                if lane is None or lane.closing:
                    lane = await lane_to(peer, address)
                return await lane.ask(ShortMessage(0, name, body), decode)
            return await self._ask(LaneMessage(0, name, cast("Any", body)), decode, Limits(deadline), metadata)

        return ask

    def _telling(self, method: Method) -> Callable[..., Any]:
        name, values, takes = method.name, method.arguments.values, method.arguments.takes
        peer, lanes, address, find = self.peer, self.peer.lanes, self._address, here.find

        async def tell(*args: Any, **kwargs: Any) -> None:
            body = values(args, kwargs) if kwargs or len(args) not in takes else args
            if find() is not NOBODY or peer.interceptors:
                await self._send(LaneMessage(0, name, cast("Any", body)))
                return
            lane = lanes.get(address)
            if lane is None or lane.closing:
                lane = await lane_to(peer, address)
            await lane.send(ShortMessage(0, name, body))

        return tell

    # ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, message: LaneMessage, decode: Decoded, limits: Limits, metadata: Mapping[str, str]) -> Any:
        """Ask with all that a message may have beside its name and its body."""
        peer = self.peer
        message.sender, message.waiting = here.find()
        if peer.interceptors:
            call = self._call(message, limits.deadline, metadata)
            return await peer.inside(
                call, lambda: self._ask_now(message, decode, Limits(call.deadline, limits.cancel), call.metadata)
            )
        return await self._ask_now(message, decode, limits, metadata)

    async def _ask_now(self, message: LaneMessage, decode: Decoded, limits: Limits, metadata: Mapping[str, str]) -> Any:
        peer = self.peer
        if limits.deadline is not None:
            message.deadline_ms = max(0, int((limits.deadline - peer.session.loop.time()) * 1000))
        message.metadata = dict(metadata) if metadata else None
        lane = await lane_to(peer, self._address, limits.deadline)
        return await lane.ask(message, decode, limits if limits.deadline is not None or limits.cancel is not None else None)

    async def _send(self, message: LaneMessage) -> None:
        """Tell, with all that a message may have beside its name and its body."""
        message.sender = here.find().sender
        if self.peer.interceptors:
            call = self._call(message, None, {})
            await self.peer.inside(call, lambda: self._send_now(message, call.metadata))
        else:
            await self._send_now(message, {})

    async def _send_now(self, message: LaneMessage, metadata: Mapping[str, str]) -> None:
        message.metadata = dict(metadata) if metadata else None
        plain = message.form == ARGUMENTS and message.sender is None and not metadata
        lane = await lane_to(self.peer, self._address)
        await lane.send(ShortMessage(0, message.name, message.body) if plain else message)

    def _call(self, message: LaneMessage, deadline: float | None, metadata: Mapping[str, str]) -> CallInfo:
        target = f"/{self._address}/{message.name}"
        return CallInfo(target, "unary", "caller", metadata=dict(metadata), deadline=deadline, peer=self.peer)

    def _deadline(self, timeout_s: float | None) -> float | None:
        return inherited_deadline(timeout_s, self.peer.session.loop.time())

    def _encoded(self, type: str, payload: Any) -> bytes:
        try:
            return MSGPACK.encode(payload)
        except UNENCODABLE as error:
            raise InvalidArgument(f"{self._address}/{type}: {error}") from error

    def __repr__(self) -> str:
        return f"<ActorRef {self._address} at {self.peer.remote}>"
