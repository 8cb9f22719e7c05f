"""Every limit of the protocol, with its reason, and `HELLO`, which promises them to the peer (PROTOCOL.md §2, §10)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from penstock._fields import check_fields
from penstock.errors import ProtocolError
from penstock.protocol._compression import available
from penstock.protocol._frames import MAGIC, VERSION, Hello

KIB = 1024
MIB = 1024 * KIB

Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one side of a connection. Sizes are in bytes, times in seconds; every limit is on by default.

    The two sides need not agree: each side promises its limits in `HELLO`, and the other keeps them. Raises `ValueError`, with
    the name of the setting, for a value out of its range::

        penstock.serve(Desk(), listen=url, settings=penstock.Settings(max_item_bytes=64 * 1024 * 1024))
    """

    #: The largest frame body. A larger item travels in fragments of this size. 256 KiB take 2 ms on a gigabit line: so long a
    #: small call waits behind a large item, at most.
    max_frame_bytes: Annotated[int, msgspec.Meta(ge=16 * KIB, le=16 * MIB)] = 256 * KIB
    #: The largest encoded item, argument or result, decompressed: the memory that one message of a peer can take here. 16 MiB
    #: hold any record; send files as a stream of smaller items.
    max_item_bytes: Annotated[int, msgspec.Meta(ge=KIB, le=1024 * MIB)] = 16 * MIB
    #: The most values in one item, argument or result, with those inside others and the keys of maps. Each takes a quarter of a
    #: microsecond at most, to be counted and decoded, and 72 bytes: one message holds up the others for 40 ms, and becomes
    #: 9 MiB. A list of 100,000 numbers fits, or 12,000 records of five fields; send more as a stream, or numbers as `bytes`.
    max_item_values: Positive = 128 * KIB
    #: The largest `STATUS`, `OPEN` without its argument, and every other control frame: metadata and details of errors are
    #: small, and bulk data belong into items.
    max_header_bytes: Annotated[int, msgspec.Meta(ge=KIB, le=MIB)] = 64 * KIB
    #: Streams that the peer may have open on one connection at the same time: more than a program has calls in flight, few
    #: enough that a peer which opens them all, at a few kilobytes each, does no harm.
    max_streams: Positive = 16_384
    #: Calls of this side that may wait while the peer has as many open as it takes (its `max_streams`): they begin in their
    #: order, within their deadlines. Four full connections of calls, each with a few kilobytes and its argument: a program
    #: with more makes them faster than they can be answered, and had better know. Calls that wait for each other end at
    #: their deadlines.
    max_waiting_calls: Positive = 65_536
    #: The budget of one connection: all bytes that its peer makes this side hold. Items that wait for their consumers,
    #: arguments, metadata, open streams with their handlers, unfinished messages, messages in the mailboxes of actors, ends of
    #: streams on offer, answers, and what is unsent or not acknowledged. The default holds 16 of the largest messages. A call,
    #: an item or an answer that does not fit is `ResourceExhausted`, and ends its stream alone. From half of it on, what can
    #: wait does: senders take no further item, messages stay unread. All windows together are three quarters.
    max_connection_bytes: Positive = 256 * MIB
    #: The same for all connections of the process (of its event loop) together. A connection may hold as much of it as stays
    #: free, and always an equal part of half of it: so those that hoard leave each other one its part. When these parts, and
    #: the bare number of connections (84 KiB each), pass it, the one that holds most is ended. The default is a quarter of a
    #: small server, and four full connections.
    max_process_bytes: Positive = 1024 * MIB
    #: Clients that a server has at the same time; a further one is told so, and leaves. One that comes back to its session is
    #: none more. Each holds 84 KiB at least, so that `max_process_bytes` of the default ends some before. Set it to the number
    #: that this server is made for.
    max_connections: Positive = 16_384
    #: The longest time that a call of a service with one answer may take here, whatever its caller allows; then its handler is
    #: cancelled. None by default: a model may answer after a minute, and a caller that gives up cancels its call by itself.
    max_call_s: Seconds | None = None
    #: Bytes that one stream holds unsent before its sender waits, at any credit (rule 10.7): a peer that grants without end
    #: and reads nothing must not make this side grow. 1 MiB is four frames.
    max_unsent_bytes: Positive = MIB

    #: How far this side sends ahead of the consumer at its peer, at any `buffer_size` that the peer asks for: items and bytes
    #: that the consumer has not taken. The peer is told and keeps its windows below; one that does not is stopped at the number
    #: of items. Four of the largest windows that tune themselves: a handler further ahead works for a consumer that may leave.
    max_ahead_items: Positive = 65_536
    max_ahead_bytes: Positive = 64 * MIB

    #: The window of a stream without a set `buffer_size` starts here: one full frame, or 256 small items …
    window_items: Positive = 256
    window_bytes: Positive = 256 * KIB
    #: … and doubles up to here while it limits a consumer that keeps up: 8 MiB fill 670 Mbit/s over a round trip of 100 ms.
    max_window_items: Positive = 16_384
    max_window_bytes: Positive = 8 * MIB
    #: The byte window of a stream with a set `buffer_size`: large enough that the number of items is its bound.
    set_window_bytes: Positive = 64 * MIB
    #: A connection without the peer's `HELLO` is closed after this time: a slow line needs two round trips. A TLS handshake
    #: before it may take as long.
    handshake_timeout_s: Seconds = 10.0
    #: The web pages that may connect by WebSocket, by their origins: "https://app.example"; "*" for all. None by default: a
    #: browser sends requests of any page to any address that it reaches, also to this machine. Programs send no origin.
    origins: tuple[Annotated[str, msgspec.Meta(max_length=256)], ...] = ()
    #: A peer that was silent for this time is sent `PING`; silent for twice this time, it is lost. A dead peer is noticed
    #: within 30 s, for two frames of 16 bytes every 15 s on an idle connection, which also keep NAT entries alive.
    keepalive_s: Seconds = 15.0
    #: A session whose connection was lost is kept for this time, when both sides keep it: a client that connects again goes on
    #: with it. What it holds stays within the windows of its streams. A train in a tunnel, a laptop that wakes up, a server
    #: behind a balancer that restarts are back within half a minute.
    detach_ttl_s: Annotated[float, msgspec.Meta(gt=0, le=7 * 86_400)] = 30.0

    #: The compression of `ITEMS` above the threshold, for a peer that can read it. Off by default: on a local network it costs
    #: more time than it saves.
    compression: Literal["none", "zstd", "deflate"] = "none"
    #: Payloads below this size are never compressed: the gain is smaller than the work.
    compression_threshold_bytes: Positive = KIB

    def __post_init__(self) -> None:
        check_fields(self)


def hello_of(settings: Settings, agent: str, keep_s: float, token: bytes, instance: bytes) -> Hello:
    """Make our `HELLO`: the limits that the peer must keep, the compressions that it may use, our name and instance."""
    return Hello(
        MAGIC,
        VERSION,
        settings.max_frame_bytes,
        settings.max_item_bytes,
        settings.max_header_bytes,
        settings.max_streams,
        available(),
        agent,
        int(keep_s * 1000),
        token,
        instance,
        settings.max_ahead_items,
        settings.max_ahead_bytes,
    )


def check_hello(hello: Hello) -> None:
    """Raise `ProtocolError` (rule 2.2) for a peer with another protocol, or with a version that is too old."""
    if hello.magic != MAGIC:
        raise ProtocolError("2.2", "the other side does not speak Penstock")
    if hello.version < VERSION:
        raise ProtocolError("2.2", f"the other side speaks version {hello.version}, this side {VERSION}")
