"""The messages of the protocol, as structs: how each looks as JSON, and which of them a text is. This module does no I/O.

The original (the npm package ts-rpc) knows welcome, request, response, ping, pong and error, each with its name in `category`,
and three frames of streams, each with its name in `type`. All other fields and frames here are Penstock's: the original
ignores fields that it does not know, and is never sent a frame that it does not know.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from penstock._outcomes import as_internal
from penstock.errors import InvalidArgument, StatusError, status_error

#: The parts of Penstock's own protocol that a peer names in its requests and responses, in `flow`.
FLOW: Final = 1

#: Characters of an error's text that travel.
ERROR_CHARACTERS: Final = 1024

_NONE: Final = msgspec.Raw(b"null")


class Categorised(msgspec.Struct, omit_defaults=True, rename="camel", tag_field="category", kw_only=True):
    """A message that is not a frame of a stream."""


class Welcome(Categorised, tag="welcome"):
    """The first message of a relay. session_id: by which the peer gets the same client id when it comes again."""

    client_id: str
    session_id: str | None = None
    restored_session: bool | None = None
    flow: int = 0


class Fault(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An error of a handler, beside the data of a response."""

    code: int
    message: str
    reason: str = ""


class RpcRequest(Categorised, tag="request"):
    """A request, or a message without an answer. Without `to` it is for all others of the topic."""

    request_id: str
    from_: str | None = msgspec.field(default=None, name="from")
    from_name: str | None = None
    to: str | None = None
    to_name: str | None = None
    flow: int = 0
    data: msgspec.Raw = _NONE


class Answer(Categorised, tag="response"):
    """The answer to a request, of the same id."""

    request_id: str
    from_: str | None = msgspec.field(default=None, name="from")
    from_name: str | None = None
    to: str | None = None
    to_name: str | None = None
    flow: int = 0
    fault: Fault | None = None
    data: msgspec.Raw = _NONE


class RpcPing(Categorised, tag="ping"):
    """Asks whether the other side is there. timestamp: milliseconds, or any other number: it comes back."""

    timestamp: float


class RpcPong(Categorised, tag="pong"):
    """Answers a ping."""

    timestamp: float


class RelayFault(Categorised, tag="error"):
    """A relay says why it did not pass a message on."""

    error: str
    details: Any = None
    target_id: str | None = None
    max_size: int | None = None


class OfStream(msgspec.Struct, omit_defaults=True, rename="camel", tag_field="type", kw_only=True):
    """A frame of a stream. from_ and to: the peers at its ends, where they are known."""

    stream_id: str
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None


class StreamData(OfStream, tag="StreamData"):
    """One item. seq: its number, from 0, in a stream with flow control."""

    seq: int | None = None
    payload: msgspec.Raw = _NONE


class StreamEnd(OfStream, tag="StreamEnd"):
    """The normal end. seq: the number of items before it, in a stream with flow control."""

    seq: int | None = None


class StreamFailure(OfStream, tag="StreamError"):
    """The end by an error. code and reason: those of Penstock's errors."""

    error: str
    code: int = 0
    reason: str = ""
    seq: int | None = None


class StreamOpen(OfStream, tag="StreamOpen"):
    """The sender of a stream with flow control offers it, and sends nothing before it has credit.

    resume: the sender has a new connection, and asks how far its items have arrived. run: tells streams of one id apart that
    follow each other; credit and cancel repeat it.
    """

    resume: bool = False
    run: str = ""


class StreamBatch(OfStream, tag="StreamBatch"):
    """Items in a row. seq: the number of the first. deflate: their list, compressed, in base 64, in the place of `payloads`."""

    seq: int
    payloads: list[msgspec.Raw] | None = None
    deflate: bytes | None = None


class StreamCredit(OfStream, tag="StreamCredit"):
    """The receiver allows items. limit: how many, counted from the first. next: how many have arrived, in order.

    resend: items behind `next` were lost. rate: items and bytes a second that the receiver asks for, at most.
    """

    limit: int
    next: int
    resend: bool = False
    run: str = ""
    rate: tuple[float | None, float | None] | None = None


class StreamCancel(OfStream, tag="StreamCancel"):
    """The receiver has left: the sender sends nothing more."""

    run: str = ""


Message = Welcome | RpcRequest | Answer | RpcPing | RpcPong | RelayFault
StreamFrame = StreamData | StreamEnd | StreamFailure | StreamOpen | StreamBatch | StreamCredit | StreamCancel


class _Kind(msgspec.Struct, rename="camel"):
    """The two fields that tell a frame of a stream from all other messages."""

    type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    stream_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_encoder: Final = msgspec.json.Encoder()
_kinds: Final = msgspec.json.Decoder(_Kind)
_messages: Final = msgspec.json.Decoder(Message)
_frames: Final = msgspec.json.Decoder(StreamFrame)

encode: Final = _encoder.encode
T = TypeVar("T")


def decode(text: bytes | str) -> Message | StreamFrame:
    """Return the message that a text is. Raises `InvalidArgument` for any other text."""
    try:
        kind = _kinds.decode(text)
        if kind.type is msgspec.UNSET or kind.stream_id is msgspec.UNSET:
            return _messages.decode(text)
        return _frames.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidArgument(f"not a message of the protocol: {error}") from None


def raw(value: object) -> msgspec.Raw:
    """Return a value of the program as JSON. Raises `InvalidArgument` for one that JSON cannot say."""
    try:
        return msgspec.Raw(_encoder.encode(value))
    except (TypeError, ValueError, RecursionError, UnicodeEncodeError) as error:
        raise InvalidArgument(f"this value cannot be written as JSON: {error}") from None


def value_of(data: msgspec.Raw, expected: type[T] | Any = Any) -> T | Any:
    """Return the value of JSON, as the expected type. Raises `InvalidArgument` for another one.

    A type can run code of the program; when that raises another error, `Internal` is raised, and the log has the error.
    """
    try:
        return msgspec.json.decode(data, type=expected)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidArgument(f"{error}") from None
    except Exception as error:  # noqa: BLE001 - code of the program may raise any
        raise as_internal(error, "a type of signalrpc", exposed=False) from None


def fault_of(error: StatusError) -> Fault:
    """Return an error as it travels in a response."""
    return Fault(code=error.code, message=error.message[:ERROR_CHARACTERS], reason=error.reason)


def error_of_fault(fault: Fault) -> StatusError:
    """Return the error of a handler at the other side."""
    return status_error(fault.code, fault.reason, fault.message, None)
