"""The methods of one actor as a lane calls them: found, read and described once, then used for each message. It runs none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.actors.cell import place_of
from penstock.codec import MSGPACK, UNDECODABLE
from penstock.errors import InvalidArgument, Unimplemented
from penstock.rpc import ARGUMENTS, PAYLOAD, CallInfo, LaneMessage, Message, Method, arguments_in, unknown

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from penstock.actors.cell import Cell
    from penstock.rpc import Peer

_PAYLOAD = MSGPACK.decode_for(Any).value
_NO_NAMES: dict[str, Any] = {}


class Known(NamedTuple):
    """One method. `decode` reads arguments that are all there, by place; None where some may be left out, or have names."""

    name: str
    method: Method | None
    instant: bool
    decode: Callable[[Any], tuple[Any, ...]] | None
    info: CallInfo
    context: Context | None  # in which an instant one is handled

    def arguments(self, message: LaneMessage) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments in a message. Raises `InvalidArgument` that names what does not fit."""
        if message.form == ARGUMENTS and self.decode is not None:
            try:
                return self.decode(message.body), _NO_NAMES
            except UNDECODABLE:
                pass  # below it is said why
        if message.form not in {ARGUMENTS, PAYLOAD}:
            raise InvalidArgument(f"form {message.form} of a message is not known here (PROTOCOL.md 12.4)", started=False)
        body = bytes(message.body)
        if self.method is None:
            return (Message(message.name, _read(message.name, body), message.sender),), _NO_NAMES
        if message.form == PAYLOAD:
            body = arguments_in(self.method, body) or b""
        return self.method.arguments.decode(MSGPACK, body)


def find(cell: Cell, name: str, peer: Peer) -> Known:
    """Return how messages of this name are handled. Raises `Unimplemented`, with what may have been meant."""
    method = cell.service.methods.get(name)
    info = CallInfo(f"/{cell.address}/{name}", "unary", "callee", metadata={}, deadline=None, peer=peer)
    if method is not None and not method.kind:
        placed = method.arguments.placed
        decode = None if placed is None else MSGPACK.decode_for(placed).value
        instant = method.name in cell.instant
        return Known(method.name, method, instant, decode, info, place_of(cell, info) if instant else None)
    if method is not None:
        raise Unimplemented(f"{cell.address}: {name!r} streams; use stream()", started=False)
    if "receive" not in cell.hooks:
        meant = unknown(name, list(cell.service.methods))
        raise Unimplemented(f"{cell.address} ({cell.service.name}) has no method {name!r}; {meant}", started=False)
    return Known("receive", None, instant=False, decode=None, info=info, context=None)


def _read(name: str, body: bytes) -> Any:
    try:
        return _PAYLOAD(body)
    except UNDECODABLE as error:
        raise InvalidArgument(f"{name}: its payload cannot be read: {error}", started=False) from None
