"""`penstock message`, `request` and `subscribe`: messages to actors, and the streams that come from them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple

import msgspec

import penstock
from penstock._texts import one_line
from penstock.cli import _stdio as stdio
from penstock.cli._format import doing, json_of
from penstock.cli._node._client import NodeConnection, connected_node, show
from penstock.cli._options import NodeOptions
from penstock.cli._run import OK, Unusable
from penstock.errors import ConnectionLost, DeadlineExceeded, InvalidArgument, PenstockError, Unavailable
from penstock.node import EventQuery, PreparedMessage
from penstock.streams import Source

#: Items that are written at a time, at most.
PRINTED_ITEMS: Final = 256
#: How long the node may take to name the message that an actor is handling.
DOING_TIMEOUT_S: Final = 2.0
#: How many actors one `subscribe -` follows.
FOLLOWED_MAX: Final = 100


class ActorMessage(NamedTuple):
    """A message as a person wrote it: an action with its parameters, or, when `action` is None, a plain value."""

    action: str | None
    value: Any


class SubscribeOptions(NamedTuple):
    """The options of `subscribe`. port: a port or streaming method; None follows the events of the actor."""

    port: str | None
    params: str | None
    buffer_size: int


async def send(options: NodeOptions, actor: str, text: str) -> int:
    """Send a message."""
    written = await read_message(text)
    async with connected_node(options) as node:
        message = await node.control.prepare(actor, written.action, written.value)
        with _explaining(message):
            await node.peer.tell(message.address, message.type, message.payload)
    if options.as_json:
        show({"sent": {"to": message.address, "id": message.id, "type": message.type}}, options)
    else:
        print(f"sent {one_line(message.type)} to {one_line(message.address)}")
    return OK


async def ask(options: NodeOptions, actor: str, text: str, timeout_s: float) -> int:
    """Ask and print the answer."""
    written = await read_message(text)
    async with connected_node(options) as node:
        message = await node.control.prepare(actor, written.action, written.value)
        with _explaining(message):
            try:
                answer = await node.peer.ask(message.address, message.type, message.payload, timeout=timeout_s)
            except DeadlineExceeded as error:
                await _note_activity(node, message, error)
                raise
    show(answer, options)
    return OK


@contextmanager
def _explaining(message: PreparedMessage) -> Iterator[None]:
    """Add a note to an error that leaves open whether the actor handled the message."""
    try:
        yield
    except (ConnectionLost, DeadlineExceeded, Unavailable) as error:
        name = one_line(message.address)
        if not error.started:
            error.add_note(f"{name} has not begun to handle it: it can be sent again")
        elif isinstance(error, ConnectionLost):
            error.add_note(f"it is not known whether {name} handled it")
        elif isinstance(error, DeadlineExceeded):
            error.add_note(f"{name} may still handle it")
        raise


async def _note_activity(node: NodeConnection, message: PreparedMessage, error: DeadlineExceeded) -> None:
    """Add a note with the message that the actor is handling instead, when the node says it at once."""
    with suppress(PenstockError):
        activity = await penstock.options(node.control, timeout=DOING_TIMEOUT_S).doing(message.address)
        busy = activity and f"it is busy with {doing(activity.handling, activity.since_s)}"
        error.add_note(busy or "give it more time with --timeout")


async def read_message(text: str) -> ActorMessage:
    """Read a message from the command line: an action with its parameters, or a plain value. Raises `Unusable`."""
    value = await read_json(text, "the message")
    if not isinstance(value, dict) or "action" not in value:
        return ActorMessage(None, value)
    action = value["action"]
    extra = sorted(value.keys() - {"action", "params"})
    if not isinstance(action, str):
        raise Unusable(f'"action" is {action!r}; it must be a text, the name of a method')
    if extra:
        raise Unusable(f'an action takes "params" and no other key; remove {", ".join(map(repr, extra))}')
    return ActorMessage(action, value.get("params"))


async def read_json(text: str, name: str) -> Any:
    """Read JSON from the command line, or from standard input for -. `name` is for errors. Raises `Unusable`."""
    data = await stdio.argument() if text == "-" else text.encode(errors="surrogateescape")
    try:
        return msgspec.json.decode(stdio.json_value(data, name))
    except InvalidArgument as error:
        quoted = stdio.QUOTES_HINT if text[:1].isalpha() else ""
        raise Unusable(f"{error}{quoted}") from None


# ── subscribe ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def subscribe(options: NodeOptions, actor: str, subscription: SubscribeOptions) -> int:
    """Print the items of a port or a streaming method, or the events of an actor."""
    names = await _names() if actor == "-" else [actor]
    params = None if subscription.params is None else await read_json(subscription.params, "--params")
    output = stdio.Output()
    async with output.until_broken(), connected_node(options) as node:
        await _follow_all([await _open(node, name, subscription, params) for name in names], output)
    return OK


class _Followed(NamedTuple):
    """An actor, and the items that come from it."""

    address: str
    source: Source[Any]


async def _follow_all(followed: list[_Followed], output: stdio.Output) -> None:
    """Follow all at the same time; raise the first error."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in followed:
                group.create_task(_follow(each, output, tagged=len(followed) > 1))
    except* (PenstockError, OSError) as errors:
        raise errors.exceptions[0] from None


async def _open(node: NodeConnection, actor: str, subscription: SubscribeOptions, params: Any) -> _Followed:
    """Open a streaming method or a port of an actor; without a name, the stream of its events."""
    if subscription.port is None:
        address = (await node.control.find(actor)).address
        query = EventQuery(address, follow=True, last=0)
        return _Followed(address, penstock.Stream.of(node.history.events(query)))
    prepared = await node.control.prepare_stream(actor, subscription.port, params)
    ref = node.peer.ref(prepared.address)
    if prepared.is_port:
        return _Followed(prepared.address, ref.subscribe(subscription.port, buffer_size=subscription.buffer_size))
    stream = ref.stream(subscription.port, prepared.payload, buffer_size=subscription.buffer_size)
    return _Followed(prepared.address, stream)


async def _follow(followed: _Followed, output: stdio.Output, *, tagged: bool) -> None:
    """Write the items of one actor. A slow reader of the output slows the actor down, as its port or stream says."""
    async with followed.source as source:
        async for batch in source.batches(PRINTED_ITEMS):
            await output.write([_line(followed.address if tagged else None, item) for item in batch])


def _line(actor: str | None, item: Any) -> msgspec.Raw:
    return msgspec.Raw(json_of(item if actor is None else {"actor": actor, "item": item}))


async def _names() -> list[str]:
    """Read ids from standard input, one a line."""
    names = [line.strip() for line in (await stdio.argument()).decode(errors="replace").splitlines() if line.strip()]
    if not names:
        raise Unusable("standard input names no actor; write one id a line")
    if len(names) > FOLLOWED_MAX:
        raise Unusable(f"standard input names {len(names)} actors; one command follows {FOLLOWED_MAX} at most")
    return names
