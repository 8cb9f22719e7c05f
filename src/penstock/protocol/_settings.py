"""Every limit of the protocol, with its reason. This module never decides anything."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

KIB = 1024
MIB = 1024 * KIB

Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What one side of a session allows. Sizes are in bytes, times in seconds; every limit is on by default.

    The two sides need not agree: a side tells its limits in `HELLO`, and the other keeps them.
    """

    #: The largest frame body. A larger item travels in fragments of this size, so that small calls get in between.
    max_frame_bytes: Annotated[int, msgspec.Meta(ge=16 * KIB, le=16 * MIB)] = 256 * KIB
    #: The largest encoded item, argument or result, decompressed; what one peer can make this side hold for one message.
    max_item_bytes: Annotated[int, msgspec.Meta(ge=KIB, le=1024 * MIB)] = 16 * MIB
    #: The largest `OPEN` without its argument, `STATUS`, and every other control frame: metadata are not for data.
    max_header_bytes: Annotated[int, msgspec.Meta(ge=KIB, le=MIB)] = 64 * KIB
    #: Streams that the peer may have open on one connection at the same time.
    max_streams: Positive = 16_384
    #: Received bytes that wait for their consumers, over all streams of one connection; above it new streams are refused,
    #: old ones go on (their windows were promised).
    max_buffered_bytes: Positive = 256 * MIB
    #: Bytes that one stream holds unsent before its sender waits, whatever the peer's credit: a peer that grants without
    #: end and reads nothing must not make this side grow.
    max_unsent_bytes: Positive = MIB

    #: The window of a stream whose buffer nobody set starts here …
    window_items: Positive = 256
    window_bytes: Positive = 256 * KIB
    #: … and doubles up to here while it is what limits a consumer that keeps up.
    max_window_items: Positive = 16_384
    max_window_bytes: Positive = 8 * MIB
    #: The byte window of a stream whose `buffer_size` alone was set: large enough that the item count is what bounds it.
    set_window_bytes: Positive = 64 * MIB
    #: A connection on which the peer has not said `HELLO` after this time is closed.
    handshake_timeout_s: Seconds = 10.0
    #: A connection that was silent for this time is asked with `PING`; silent for twice this time, it is lost.
    keepalive_s: Seconds = 15.0

    #: How `ITEMS` above the threshold are compressed, when the peer can read it. Off by default: on a local network it costs
    #: more than it saves.
    compression: Literal["none", "zstd", "deflate"] = "none"
    compression_threshold_bytes: Positive = KIB

    def __post_init__(self) -> None:
        try:
            msgspec.convert(msgspec.structs.asdict(self), _Checked)
        except msgspec.ValidationError as error:
            name = str(error).rpartition("$.")[2].rstrip("`")
            raise ValueError(f"Settings.{name} is {getattr(self, name, None)!r}: {error}") from None


_Checked = msgspec.defstruct("Settings", [(field.name, field.type) for field in msgspec.structs.fields(Settings)])
