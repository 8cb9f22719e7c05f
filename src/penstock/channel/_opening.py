"""How a channel to another process begins: what its `OPEN` says (PROTOCOL.md 3.8, 6.11). This module holds no channel."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from penstock.channel._channel import BUFFER_SIZE, OPEN_TIMEOUT_S, Channel
from penstock.channel._life import Observer
from penstock.channel._remote import RemoteChannel
from penstock.codec import MSGPACK, UNDECODABLE, UNENCODABLE
from penstock.errors import InvalidArgument, Unimplemented
from penstock.protocol import CallKind, Open
from penstock.session import Session, StreamHandle

#: What stands behind the address in the target of a channel.
SUFFIX: Final = "!channel"
#: Metadata of the `OPEN`: who opens the channel, and how both sides call it in their logs.
INITIATOR, ID = "initiator", "channel"
#: Characters of what an opener calls itself and its channel; more is cut.
NAME_MAX: Final = 256

_ARGUMENTS: Final = MSGPACK.decode_for(list[Any])


async def open_channel(  # noqa: PLR0913 - what an opening says, and how it is waited for
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

    `initiator` says who opens it; `messages` is the type of what arrives, anything by default; `buffer_size` (messages, at
    least 1) is how many may wait here; `timeout` in seconds, None for none; `metadata` travels with the opening. Raises
    `ChannelRejected` with the reason, `DeadlineExceeded`, `InvalidArgument` for a payload that cannot travel, and what else
    the other side answers. Cancelling it withdraws the opening: an acceptor finds the channel closed.
    """
    session.check_open()
    argument = _argument_of(target, payload)
    names = (secrets.token_hex(8), initiator, address_of(target), payload)
    decode = MSGPACK.decode_for(messages)
    channel: RemoteChannel[Any] = RemoteChannel(session.settings, decode, names, opener=True, buffer_size=buffer_size)
    channel.begin(session, target, argument, {**(metadata or {}), INITIATOR: initiator, ID: channel.id})
    if observer is not None:
        channel.observe(observer)
    await channel.wait_opened(timeout)
    return channel


def accept_channel(stream: StreamHandle, *, messages: Any = Any, buffer_size: int = BUFFER_SIZE) -> Channel[Any]:
    """Make the acceptor's end of a channel that the other side opens by `stream`; `Channel.accept` or `reject` answers it.

    `messages` is the type of what arrives; `buffer_size` (messages, at least 1) is how many may wait here. Raises
    `Unimplemented` for a call that is no channel, `InvalidArgument` for one whose payload cannot be read: the call is the
    caller's to refuse, then.
    """
    opened = stream.opened
    if opened.kind != CallKind.BIDIRECTIONAL or opened.codec != MSGPACK.number:
        raise Unimplemented(f"{opened.target} is a channel: a bidirectional call in msgpack", started=False)
    id_ = opened.metadata.get(ID, "")[:NAME_MAX] or secrets.token_hex(8)
    names = (id_, opened.metadata.get(INITIATOR, "")[:NAME_MAX], address_of(opened.target), _payload_of(opened))
    decode = MSGPACK.decode_for(messages)
    channel: RemoteChannel[Any] = RemoteChannel(stream.session.settings, decode, names, opener=False, buffer_size=buffer_size)
    stream.forget_argument()
    channel.take(stream)
    return channel


def address_of(target: str) -> str:
    """Return the address in the target of a channel."""
    return target.removeprefix("/").removesuffix(SUFFIX)


def _payload_of(opened: Open) -> Any:
    """Read the one argument of an opening (rule 3.8); None when there is none."""
    try:
        arguments = _ARGUMENTS.value(opened.argument) if opened.argument else []
    except UNDECODABLE as error:
        raise InvalidArgument(f"{opened.target}: its payload cannot be read: {error}", started=False) from error
    if len(arguments) > 1:
        raise InvalidArgument(f"{opened.target}: a channel is opened with one payload, not {len(arguments)}", started=False)
    return arguments[0] if arguments else None


def _argument_of(target: str, payload: Any) -> bytes | None:
    """Write the one argument of an opening."""
    try:
        return None if payload is None else MSGPACK.encode([payload])
    except UNENCODABLE as error:
        raise InvalidArgument(f"{target}: its payload cannot travel: {error}", started=False) from error
