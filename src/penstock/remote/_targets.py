"""The streams that a peer opens to actors, distinguished by their targets: a lane, a method, a channel, a port.

=====================  ============================================================================
target                 stream
=====================  ============================================================================
``/counter/add``       one method of any kind: an ask, or a stream beside the mailbox
``/counter!lane``      tells and asks, in order (`LaneServer`)
``/counter!stream``    a streaming method by name, with one payload (`Router.stream`)
``/counter!channel``   a channel
``/counter!port``      a subscription
``/counter!stop``      the end of the actor
=====================  ============================================================================
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Final

import msgspec

from penstock.actors import ActorHost, channel_call, handle_channel
from penstock.actors.cell import Cell, Envelope, SideTask, ask, subscribe, subscriber_size
from penstock.calls import CallScope, Dispatcher, Found, context
from penstock.channel import accept_channel
from penstock.codec import by_number
from penstock.errors import InvalidArgument, NotFound, Unimplemented
from penstock.protocol import CallKind
from penstock.refs import encode_for_many
from penstock.remote._lane_server import LaneServer
from penstock.remote._method_entry import actor_for, target_of
from penstock.remote._wire import WAITING, WAITING_MAX
from penstock.service import Method, arguments_in, service_of, suggest
from penstock.session import StreamHandle
from penstock.streams import Overflow

BoundArguments = tuple[tuple[Any, ...], dict[str, Any]]
#: Returns the actor of a target to which the other side may do this: called with a verb, and the name of a method or port.
FindCell = Callable[..., Cell]


class _Verbs:
    """The arguments and results of the verbs after "!", as a service; its methods are never called."""

    service_name = "actor"

    async def stream(self, type: str, payload: msgspec.Raw) -> AsyncIterator[Any]:
        """Begin a streaming method by name."""
        yield None

    async def port(self, name: str, buffer_size: int | None, overflow: str | None) -> AsyncIterator[Any]:
        """Subscribe to a port."""
        yield None

    async def stop(self) -> None:
        """Stop the actor."""


_SHAPES: Final = service_of(_Verbs).methods


def find_handler(host: ActorHost, dispatcher: Dispatcher, scope: CallScope, handle: StreamHandle) -> Found | None:
    """Return the handler of a stream whose target begins with a slash; None for a lane or a channel, which has begun.

    Raises the `StatusError` that refuses the stream.
    """
    target = handle.opened.target
    address, is_verb, verb = target[1:].partition("!")
    if not is_verb:
        address, _slash, name = address.rpartition("/")
        return _method(_cell(host, scope, address, "stream" if handle.opened.kind else "ask", name), name, scope, target)
    if verb == "lane":
        LaneServer(host, address, dispatcher, scope, handle)
        return None
    if verb == "channel":
        _begin_channel(_cell(host, scope, address, "channel"), dispatcher, scope, handle)
        return None
    find_verb = _VERBS.get(verb)
    if find_verb is None:
        hint = suggest(verb, ["lane", "channel", *_VERBS], "verbs")
        raise Unimplemented(f"{target}: unknown verb {verb!r} of an actor; {hint}", started=False)
    return find_verb(partial(_cell, host, scope, address), scope, handle)


def _cell(host: ActorHost, scope: CallScope, address: str, verb: str, name: str | None = None) -> Cell:
    """Return an actor to which the other side may do this.

    Raises `PermissionDenied`, also for an actor that there is not, else `NotFound`. Whatever else can be wrong with the call is
    found before, or after: else a caller would learn which actors there are.
    """
    try:
        cell = actor_for(host, address, scope)
    except NotFound:
        scope.check_access(f"/{address}" if name is None else target_of(address, name), verb)
        raise
    scope.check_access(f"/{cell.address}" if name is None else target_of(cell.address, name), verb)
    return cell


def _method(cell: Cell, name: str, scope: CallScope, target: str) -> Found:
    """Return the handler of a method by its own target: an ask through the mailbox, or a stream beside it."""
    method = cell.service.method(name, of=cell.address)._replace(target=target)
    if method.kind:
        return _beside(cell, method, scope)

    async def ask_it(*args: Any, **kwargs: Any) -> Any:
        call = context()
        envelope = Envelope(cell, name, args, kwargs, "ask", info=call, context=copy_context())
        try:
            return await ask(envelope, call.deadline)
        except Exception as error:
            call._note_crash(error, envelope.error_id)
            raise

    return Found(method, ask_it)


def _beside(cell: Cell, method: Method, scope: CallScope, arguments: BoundArguments | None = None) -> Found:
    """Return a streaming method as a handler: in a side task, which ends with the actor."""
    work = SideTask(cell, method.name, peer=scope.remote)
    return Found(method, work.call_method, (work.around,), arguments)


def _arguments(verb: str, handle: StreamHandle) -> BoundArguments:
    """Return the arguments of a verb. Raises `Unimplemented` for another kind of call, `InvalidArgument`."""
    opened, shape = handle.opened, _SHAPES[verb]
    if opened.kind != shape.kind:
        raise Unimplemented(f"{opened.target} is {shape.kind.label}, not {CallKind(opened.kind).label}", started=False)
    return shape.arguments.decode(by_number(opened.codec), opened.argument)


def _stream(find: FindCell, scope: CallScope, handle: StreamHandle) -> Found:
    """Return the handler of a streaming method by name, as if it had been called by its own target."""
    opened = handle.opened
    (type_, payload), _names = _arguments("stream", handle)
    cell = find("stream", type_)
    method = cell.service.method(type_, of=cell.address)
    if method.kind != CallKind.SERVER_STREAMING:
        raise Unimplemented(
            f"{cell.address}: {type_!r} is not a server streaming method, so it cannot be streamed by name", started=False
        )
    arguments = method.arguments.decode(by_number(opened.codec), arguments_in(method, bytes(payload)))
    return _beside(cell, method._replace(target=f"/{cell.address}/{type_}"), scope, arguments)


def _port(find: FindCell, _scope: CallScope, handle: StreamHandle) -> Found:
    """Return the handler of a subscription. It raises `InvalidArgument` for options that the port does not allow."""
    arguments = _arguments("port", handle)
    cell = find("subscribe", arguments[0][0])

    def handler(name: str, buffer_size: int | None, overflow: Overflow | None) -> AsyncIterator[Any]:
        try:
            subscriber_size(buffer_size, overflow)
        except ValueError as error:
            raise InvalidArgument(str(error)) from None
        items: AsyncIterator[Any] = subscribe(cell, name, buffer_size, overflow, encode_for_many)
        return items

    return Found(_SHAPES["port"]._replace(target=handle.opened.target), handler, arguments=arguments)


def _stop(find: FindCell, _scope: CallScope, handle: StreamHandle) -> Found:
    return Found(_SHAPES["stop"]._replace(target=handle.opened.target), partial(find("stop").stop, "a peer stopped it"))


def _begin_channel(cell: Cell, dispatcher: Dispatcher, scope: CallScope, handle: StreamHandle) -> None:
    cell.queue.check()
    call = channel_call(cell, handle.opened.metadata, scope)
    channel = accept_channel(handle, messages=cell.channel_type)
    waiting = call.metadata.get(WAITING, "").split()[:WAITING_MAX]
    work = handle_channel(cell, channel, call, dispatcher.interceptors, waiting=waiting)
    if work.task is not None:
        scope.share(work.task)


_VERBS: Final[dict[str, Callable[[FindCell, CallScope, StreamHandle], Found]]] = {
    "stream": _stream,
    "port": _port,
    "stop": _stop,
}
