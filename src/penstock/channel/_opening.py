"""The beginning of a channel between two processes: the contents of its `OPEN` (PROTOCOL.md 3.8, 6.11)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from penstock._outcomes import text_of
from penstock._texts import one_line
from penstock.channel._channel import OPEN_TIMEOUT_S, Channel
from penstock.channel._remote import RemoteWire
from penstock.channel._wire import ChannelEvents, Observer, Opening
from penstock.codec import MSGPACK, UNDECODABLE, UNENCODABLE, refuse_value
from penstock.errors import InvalidArgument, Unimplemented
from penstock.protocol import CallKind, Open, ReceiveHalf, grant_for
from penstock.session import Carrier, Endpoint, Session, StreamHandle
from penstock.streams import BUFFER_SIZE, checked_size

#: The end of the target of a channel, after the address.
SUFFIX: Final = "!channel"
#: Metadata of the `OPEN`: the name of the opener, and the id of the channel in the logs of both sides.
INITIATOR, ID = "initiator", "channel"
#: Characters of either name that an acceptor keeps; longer ones are cut.
PEER_NAME_MAX: Final = 256

_ARGUMENTS: Final = MSGPACK.decode_for(list[Any])


async def open_channel(  # noqa: PLR0913 - the contents of an opening, and the options of the wait for its answer
    session: Session,
    target: str,
    payload: Any = None,
    *,
    initiator: str = "",
    messages: Any = Any,
    buffer_size: int = BUFFER_SIZE,
    timeout: float | None = OPEN_TIMEOUT_S,
    metadata: Mapping[str, str] | None = None,
    observer: Observer | None = None,
) -> Channel[Any]:
    """Open a channel to `target` (like ``"/consumer!channel"``) at the other side of `session`; wait until it is accepted.

    `payload` is for the acceptor. `initiator` is the name of the opener. `messages` is the type of the messages that arrive,
    any by default. `buffer_size` (messages, at least 1, 16 by default) is how many may wait here. `timeout` is in seconds, None
    for no limit. `metadata` travels with the opening. `observer` is told of the channel from the beginning (`Channel.observe`).

    Returns the open channel: call `Channel.send` and `Channel.receive` next. Raises `ChannelRejected` with the reason,
    `DeadlineExceeded` after `timeout`, `InvalidArgument` for a payload that cannot be encoded, `Unavailable` when no channel
    can begin on this connection, `ValueError` for a smaller `buffer_size`, and any other error with which the acceptor answers.
    Cancelling it withdraws the opening: the acceptor finds the channel closed.
    """
    session.check_open()
    argument = _argument_of(target, payload)
    opening = Opening(secrets.token_hex(8), initiator, address_of(target), payload)
    decode = MSGPACK.decode_for(messages)
    half = _half(session, buffer_size)
    names = {**(metadata or {}), INITIATOR: initiator, ID: opening.id}
    grant = half.grant
    opened = Open(target, CallKind.BIDIRECTIONAL, MSGPACK.number, grant.items, grant.bytes, argument, names)
    handle = session.open(opened, half, Endpoint())
    channel: Channel[Any] = Channel(RemoteWire(ChannelEvents(opening, opener=True), handle, half, decode))
    if observer is not None:
        channel.observe(observer)
    await channel.wait_opened(timeout)
    return channel


def accept_channel(handle: StreamHandle, *, messages: Any = Any, buffer_size: int = BUFFER_SIZE) -> Channel[Any]:
    """Make the acceptor's end of the channel that the other side opens by `handle`. Call `accept` or `reject` on it next.

    `messages` is the type of the messages that arrive; `buffer_size` (messages, at least 1, 16 by default) is how many may wait
    here. Raises `Unimplemented` for a call that does not have the form of a channel, `InvalidArgument` for one whose payload
    cannot be read, and `ValueError` for a smaller `buffer_size`; then the caller of this function has to refuse `handle`.
    """
    opened = handle.opened
    if opened.kind != CallKind.BIDIRECTIONAL or opened.codec != MSGPACK.number:
        raise Unimplemented(f"{opened.target} is a channel: a bidirectional call in msgpack", started=False)
    id_ = opened.metadata.get(ID, "")[:PEER_NAME_MAX] or secrets.token_hex(8)
    initiator = one_line(opened.metadata.get(INITIATOR, ""), PEER_NAME_MAX)
    opening = Opening(id_, initiator, address_of(opened.target), _payload_of(opened))
    decode = MSGPACK.decode_for(messages)
    half = _half(handle.session, buffer_size)
    handle.forget_argument()
    return Channel(RemoteWire(ChannelEvents(opening, opener=False), handle, half, decode))


def address_of(target: str) -> str:
    """Return the address in the target of a channel."""
    return target.removeprefix("/").removesuffix(SUFFIX)


def _half(session: Carrier, buffer_size: int) -> ReceiveHalf:
    """Make the half that collects the messages of the other side, with its first credit."""
    return ReceiveHalf(grant_for(session.settings, session.hello, checked_size("buffer_size", buffer_size), None))


def _payload_of(opened: Open) -> Any:
    """Decode the one argument of an opening (rule 3.8); None without one."""
    try:
        arguments = _ARGUMENTS.value(opened.argument) if opened.argument else []
    except UNDECODABLE as error:
        raise InvalidArgument(
            f"{opened.target}: the payload of the opening cannot be read: {text_of(error)}", started=False
        ) from error
    if len(arguments) > 1:
        raise InvalidArgument(f"{opened.target}: a channel is opened with one payload, not {len(arguments)}", started=False)
    return arguments[0] if arguments else None


def _argument_of(target: str, payload: Any) -> bytes | None:
    """Encode the one argument of an opening; None without a payload."""
    try:
        return None if payload is None else MSGPACK.encode([payload])
    except UNENCODABLE as error:
        refuse_value(error, f"{target}: the payload of the opening cannot be encoded", partial(InvalidArgument, started=False))
