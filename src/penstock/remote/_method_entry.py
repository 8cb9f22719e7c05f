"""The recipient of a lane: the actor that has the address now and, once for each method, how its messages are decoded."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from penstock._outcomes import text_of
from penstock._texts import peer_text
from penstock.actors import ActorHost, Message
from penstock.actors.cell import Cell, Envelope, inline_context
from penstock.calls import CallInfo, CallScope
from penstock.codec import MSGPACK, UNDECODABLE
from penstock.errors import (
    ActorStopped,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    ReentrancyError,
    ResourceExhausted,
    StatusError,
    Unimplemented,
)
from penstock.protocol import CallKind
from penstock.remote._wire import ARGUMENTS, EMPTIED, GARBLED, PAYLOAD, LaneMessage
from penstock.service import NO_DEADLINE_S, Method, arguments_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from penstock.remote._answers import OpenAsks


_PAYLOAD = MSGPACK.decode_for(Any).value
_NO_NAMES: dict[str, Any] = {}
_UNARY = CallKind.UNARY.label


class MethodEntry(NamedTuple):
    """How messages of one name are handled.

    name: the method of the actor; `receive` for messages without a method.
    method: its description; None for `receive`.
    runs_inline: whether the method has no ``await``, so that it may run in the reader of the lane.
    decode: decodes arguments that are complete and by place; None when some may be left out or have names.
    info: the call of a message that says nothing else about itself.
    context: copied for each message of an inline method; None for others.
    """

    name: str
    method: Method | None
    runs_inline: bool
    decode: Callable[[Any], tuple[Any, ...]] | None
    info: CallInfo
    context: Context | None

    def arguments(self, message: LaneMessage) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a message. Raises `InvalidArgument` that names the argument that does not fit."""
        if message.form == ARGUMENTS and self.decode is not None:
            try:
                return self.decode(message.body), _NO_NAMES
            except UNDECODABLE:
                pass  # decoded again below, where the error names the argument
        if message.form == EMPTIED:
            limit = "more values than Settings.max_item_values of its process allows"
            raise ResourceExhausted(f"{message.name}: its arguments have {limit}", started=False)
        if message.form == GARBLED:
            raise InvalidArgument(f"{message.name}: the message has bytes in it that are no msgpack", started=False)
        if message.form not in {ARGUMENTS, PAYLOAD}:
            raise InvalidArgument(f"unknown form {message.form} of a message (PROTOCOL.md 12.4)", started=False)
        body = bytes(message.body)
        if self.method is None:
            return (Message(message.name, _read(message.name, body), message.sender),), _NO_NAMES
        if message.form == PAYLOAD:
            body = arguments_in(self.method, body) or b""
        return self.method.arguments.decode(MSGPACK, body)


class Addressee:
    """The actor that has an address now, for the messages of one peer.

    cell: the actor; None before `current` has found one. entries: how its messages are handled, by name.
    """

    __slots__ = ("_address", "_host", "_principal", "_scope", "cell", "entries")

    def __init__(self, host: ActorHost, address: str, scope: CallScope) -> None:
        self._host = host
        self._address = address
        self._scope = scope
        self._principal = scope.session.proof.principal
        self.cell: Cell | None = None
        self.entries: dict[str, MethodEntry] = {}

    def refusal(self, error: StatusError) -> StatusError:
        """Return the error of a message that is not handled: for an actor that has stopped, that it has."""
        if self.cell is None or not self.cell.queue.closed:
            return error
        return ActorStopped(self.cell.queue.closed, started=False)

    def current(self) -> Cell:
        """Return the actor, looked up again after it has stopped. Without another one, a stopped actor stays.

        Raises `NotFound` when there was none.
        """
        cell = self.cell
        if cell is not None and cell.state != "stopped":
            return cell
        try:
            self.cell = actor_for(self._host, self._address, self._scope)
        except NotFound:
            if cell is None:
                raise
            return cell
        self.entries.clear()
        return self.cell

    def resolve(self, cell: Cell, name: str) -> MethodEntry:
        """Return how messages of this name are handled, and keep it. Raises `Unimplemented` for an unknown method."""
        entry = method_entry(cell, name, self._scope)
        if entry.method is not None:  # a caller may send any number of other names, so they are not kept
            self.entries[name] = entry
        return entry

    def announced(self, message: LaneMessage, arrived_s: float | None) -> CallInfo:
        """As `described`, for a message whose sender the interceptors may refuse. It does not fail without an actor.

        Interceptors see an actor by its name, also when the sender has used its id.
        """
        with suppress(NotFound):
            self.current()
        return self.described(message, arrived_s)

    def check_access(self, message: LaneMessage) -> bool:
        """Return whether the entries still hold: the sender may have proven its identity anew, with other roles.

        Raises `PermissionDenied` for a message that its sender may not send, to an actor of any name.
        """
        if not self._scope.restricted:
            return True
        with suppress(NotFound):
            self.current()
        address = self._address if self.cell is None else self.cell.address
        self._scope.check_access(target_of(address, message.name), "ask" if message.id else "tell")
        principal, before = self._scope.session.proof.principal, self._principal
        if principal is not before:
            self._principal = principal
            self.entries.clear()
        return principal is before

    def unwrap(self, message: LaneMessage, info: CallInfo, asks: OpenAsks) -> Envelope:
        """Return a message as its actor gets it. Raises the `StatusError` of one that cannot be handled, as not started."""
        try:
            self.check_access(message)
            cell = self.current()
            entry = self.entries.get(message.name) or self.resolve(cell, message.name)
            self.check(cell, message)
            args, kwargs = entry.arguments(message)
        except StatusError as error:
            error.started = False
            raise
        return envelope_of(cell, entry, args, kwargs, (info, message, asks))

    def described(self, message: LaneMessage, arrived_s: float | None) -> CallInfo:
        """Return the call of a message with a sender, deadline or metadata, as the handler and the interceptors see it.

        Its deadline counts from the time `arrived_s` of the loop's clock; None stands for now.
        """
        if message.sender is not None:
            message.sender = self._host.seen_from_here(self._scope.peer, peer_text(message.sender))
        left_s = None if message.deadline_ms is None else message.deadline_ms / 1000
        deadline = None if left_s is None or left_s > NO_DEADLINE_S else (arrived_s or self._host.loop.time()) + left_s
        target = f"/{self._address if self.cell is None else self.cell.address}/{message.name}"
        return CallInfo(target, _UNARY, "callee", metadata=message.metadata or {}, deadline=deadline, scope=self._scope)

    def check(self, cell: Cell, message: LaneMessage) -> None:
        """Raise `ReentrancyError` for an ask that would wait for itself, `DeadlineExceeded` when its deadline has passed."""
        if message.waiting and cell.current is not None and cell.id in message.waiting:
            raise ReentrancyError(
                f"{cell.address} waits, by way of {message.sender}, for the answer to this ask. Use tell, or answer first"
            )
        if message.deadline_ms is not None and message.deadline_ms <= 0:
            raise DeadlineExceeded(f"{cell.address}: the deadline of {message.name!r} passed before it began")


def actor_for(host: ActorHost, address: str, scope: CallScope) -> Cell:
    """Return the actor with this name or id.

    Raises `NotFound`, without the names of others for a peer with rights of its own.
    """
    try:
        return host.cell(address)
    except NotFound:
        if not scope.restricted:
            raise
        ended = host.registry.ended(address)
        raise NotFound(f"no actor {address!r} here{f'; {ended}' if ended else ''}", started=False) from None


def target_of(address: str, name: str) -> str:
    """Return a message, method or port of an actor as a target of `authorize`.

    A slash in the name is escaped: it must not look like a part of the address of another actor.
    """
    if "/" in name or "%" in name:
        name = name.replace("%", "%25").replace("/", "%2F")
    return f"/{address}/{name}"


def envelope_of(
    cell: Cell,
    entry: MethodEntry,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    origin: tuple[CallInfo, LaneMessage, OpenAsks],
) -> Envelope:
    """Return a message as its actor gets it, from its decoded arguments, its call, the message as it arrived, and its lane.

    It is charged: call `Envelope.leave` when it cannot be posted.
    """
    info, message, asks = origin
    via: Literal["ask", "tell"] = "ask" if message.id else "tell"
    envelope = Envelope(cell, entry.name, args, kwargs, via, None, None, info, message.sender, message.waiting)
    asks.post(envelope, bytes(message.body))
    return envelope


def method_entry(cell: Cell, name: str, scope: CallScope) -> MethodEntry:
    """Return how messages of this name are handled. Raises `Unimplemented`, which suggests a known method."""
    info = CallInfo(f"/{cell.address}/{name}", _UNARY, "callee", metadata={}, deadline=None, scope=scope)
    if "receive" in cell.hooks and name not in cell.service.methods:
        return MethodEntry("receive", None, runs_inline=False, decode=None, info=info, context=None)
    method = cell.service.method(name, of=cell.address)
    if method.kind:
        raise Unimplemented(f"{cell.address}: {name!r} streams its results; use stream()", started=False)
    placed = method.arguments.placed
    decode = None if placed is None else MSGPACK.decode_for(placed).value
    runs_inline = method.name in cell.inline_methods
    return MethodEntry(method.name, method, runs_inline, decode, info, inline_context(cell, info) if runs_inline else None)


def _read(name: str, body: bytes) -> Any:
    try:
        return _PAYLOAD(body)
    except UNDECODABLE as error:
        raise InvalidArgument(f"{name}: its payload cannot be decoded: {text_of(error)}", started=False) from None
