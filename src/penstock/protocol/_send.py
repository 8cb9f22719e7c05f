"""The sending half of a stream (PROTOCOL.md §4): encoded items from the program to frames. It knows no other stream.

An item is encoded the moment it is sent, into the open batch, so later changes to the object have no effect. A batch is closed
when a frame is wanted or at `BATCH_BYTES`. Nothing that was sent is kept here: a session that can be resumed keeps its frames
(`_sequence`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any, Final, NamedTuple

import msgspec

from penstock.errors import ResourceExhausted
from penstock.protocol._budget import Unsent
from penstock.protocol._compression import Compress
from penstock.protocol._credit import Limit
from penstock.protocol._frames import (
    COMPRESSED,
    ITEMS,
    ITEMS_HEADER,
    ITEMS_HEADER_BYTES,
    ITEMS_PREFIX_BYTES,
    LAST,
    MORE,
    Segment,
)

EncodeInto = Callable[[Any, bytearray, int], None]

#: A batch that has reached this size takes no further item (rule 4.4), so a message is at most this much larger than
#: its last item.
BATCH_BYTES: Final = 64 * 1024
FULL_BYTES: Final = BATCH_BYTES + ITEMS_HEADER_BYTES
#: A `bytes` item of this size or more is handed to the transport uncopied, as a batch of its own.
SINGLE_BYTES_MIN: Final = 16 * 1024

#: An array of one item, without the item.
ONE_ITEM: Final = b"\xdd\0\0\0\1"
#: The head of an array with a count of four bytes: `ARRAY`, the count.
ARRAY: Final = 0xDD
ARRAY_HEAD: Final = Struct(">BI")
#: The place of the header, in front of a payload: a frame of one batch is then one segment.
_ROOM: Final = bytes(ITEMS_HEADER_BYTES)
#: The head of a batch of one `bytes` item: an array of one, a `bin` with a length of four bytes.
BYTES_HEAD: Final = ONE_ITEM + b"\xc6"
BYTES_HEAD_BYTES: Final = len(BYTES_HEAD) + 4


def bytes_head(size: int) -> bytes:
    """Return the head of a batch of one `bytes` item of this size."""
    return BYTES_HEAD + size.to_bytes(4, "big")


class Layout(NamedTuple):
    """How a codec puts items side by side: the payload is one encoded array. `begin_frame`: with room for the header."""

    begin: bytes
    separator: bytes
    end: bytes
    begin_frame: bytes


#: Always an array with a count of four bytes, written when the batch is closed.
MSGPACK_LAYOUT: Final = Layout(b"\xdd\0\0\0\0", b"", b"", _ROOM + b"\xdd\0\0\0\0")
JSON_LAYOUT: Final = Layout(b"[", b",", b"]", _ROOM + b"[")
MSGPACK, JSON = 0, 1
#: By codec number; the callee refuses a number that is not here with `Unimplemented` (rule 4.8).
LAYOUTS: Final = {MSGPACK: MSGPACK_LAYOUT, JSON: JSON_LAYOUT}


class SendRules(NamedTuple):
    """The limits and functions that all sending halves of a connection share, for one codec."""

    layout: Layout
    max_frame_bytes: int
    max_item_bytes: int
    unsent: Unsent
    compress: Compress | None = None


class Batch(msgspec.Struct):
    """Items that travel together: a closed, encoded array of `size` bytes. Its first segment begins with room for a header."""

    first: int
    count: int
    segments: list[Segment]
    size: int
    flags: int = 0

    def payload(self) -> list[Segment]:
        """Return the segments without the room for the header; nothing is copied."""
        first, *rest = self.segments
        return [memoryview(first)[ITEMS_HEADER_BYTES:], *rest]


class SendHalf:
    """One direction of a stream, seen by its sender.

    Counted in items and bytes: `pushed` by the program, `sent` in frames. `batch` is open and holds `count` items; `unsent` are
    closed batches, counted in `budget` as the `fragments` of one are that has begun to leave. It has a frame to send while one
    of these three is there. `ended`: no item follows.
    """

    __slots__ = (
        "_uncut",
        "batch",
        "budget",
        "count",
        "ended",
        "fragments",
        "layout",
        "limit",
        "pushed",
        "pushed_bytes",
        "rules",
        "sent",
        "sent_bytes",
        "unsent",
    )

    def __init__(self, limit: Limit, rules: SendRules) -> None:
        self.limit = limit
        self.rules = rules
        self.layout = rules.layout
        self.budget = rules.unsent
        self.batch = bytearray()
        self.count = 0
        self.pushed = self.pushed_bytes = 0
        self.sent = self.sent_bytes = 0
        self.unsent: list[Batch] = []
        self.ended = False
        self.fragments: Iterator[list[Segment]] | None = None
        self._uncut = 0  # the bytes of the fragments that have not left

    def has_room(self) -> bool:
        """Whether one more item may be pushed: item credit, byte credit (rule 5.2), and our own bound on unsent bytes."""
        return (
            self.pushed < self.limit.items
            and self.pushed_bytes < self.limit.bytes
            and self.pushed_bytes - self.sent_bytes < self.budget.stream_bytes
        )

    def is_stuffed(self) -> bool:
        """Whether the peer has granted more, but too many bytes wait here unsent."""
        return (
            self.pushed_bytes - self.sent_bytes >= self.budget.stream_bytes
            and self.pushed < self.limit.items
            and self.pushed_bytes < self.limit.bytes
        )

    def push(self, encode_into: EncodeInto, item: object) -> bool:
        """Encode `item` into the open batch; return `has_room()` for the next item. Only called when there is room.

        Raises the error of `encode_into`, and `ResourceExhausted` for an item over the peer's limit; then nothing was pushed.
        """
        batch = self.batch
        before = len(batch)
        batch += self.layout.separator if before else self.layout.begin_frame
        try:
            encode_into(item, batch, -1)
        except BaseException:
            del batch[before:]
            raise
        size = len(batch) - (before or ITEMS_HEADER_BYTES)
        if size > self.rules.max_item_bytes:
            del batch[before:]
            raise self._too_large(size)
        self.count += 1
        self.pushed += 1
        self.pushed_bytes += size
        if len(batch) >= FULL_BYTES:
            self.seal()
        return (  # has_room(), written out: a call for each item would cost more than the comparison
            self.pushed < self.limit.items
            and self.pushed_bytes < self.limit.bytes
            and self.pushed_bytes - self.sent_bytes < self.budget.stream_bytes
        )

    def push_encoded(self, encoded: bytes) -> None:
        """Push the only item of this direction, already encoded; `ResourceExhausted` when it is over the peer's limit."""
        size = len(self.layout.begin) + len(encoded)
        if size > self.rules.max_item_bytes:
            raise self._too_large(size)
        self.batch += self.layout.begin_frame
        self.batch += encoded
        self.count = 1
        self.pushed += 1
        self.pushed_bytes += size

    def push_bytes(self, item: bytes) -> bool:
        """Push a large `bytes` item as a batch of its own, without a copy (msgpack only); otherwise as `push`."""
        size = len(item) + BYTES_HEAD_BYTES
        if size > self.rules.max_item_bytes:
            raise self._too_large(size)
        self.seal()
        self.unsent.append(Batch(self.pushed, 1, [bytearray(_ROOM + bytes_head(len(item))), item], size))
        self.budget.count(size)
        self.pushed += 1
        self.pushed_bytes += size
        return self.has_room()

    def seal(self) -> None:
        """Close the open batch, if it has items."""
        if self.count:
            batch = _sealed(self)
            self.unsent.append(batch)
            self.budget.count(batch.size)

    def end(self) -> None:
        """Push no more items: the frame of the last unsent batch carries `LAST`."""
        self.ended = True

    def ends_with_items(self) -> bool:
        """Whether a frame that can carry `LAST` is still to come."""
        return bool(self.unsent or self.count)

    def discard(self) -> None:
        """Forget all unsent items: the stream is over, or the peer takes no more."""
        self.budget.count(-sum(batch.size for batch in self.unsent) - self._uncut)
        self.unsent.clear()
        self.batch = bytearray()
        self.count = 0
        self.fragments, self._uncut = None, 0
        self.sent, self.sent_bytes = self.pushed, self.pushed_bytes

    def next_frame(self, stream_id: int) -> list[Segment]:
        """Return the next frame, header first; no segment when it has none."""
        if self.fragments is not None:
            return _next_fragment(self, self.fragments)
        if self.unsent:
            batch = self.unsent.pop(0)
            self.budget.count(-batch.size)
        elif self.count:
            batch = _sealed(self)
        else:
            return []
        self.sent += batch.count
        self.sent_bytes += batch.size
        rules, length = self.rules, batch.size
        if rules.compress is not None:
            length = _compress(batch, rules.compress)
        flags = batch.flags | LAST if self.ended and not (self.unsent or self.count) else batch.flags
        length += ITEMS_PREFIX_BYTES
        if length <= rules.max_frame_bytes:
            ITEMS_HEADER.pack_into(batch.segments[0], 0, length, ITEMS, flags, stream_id, batch.first, batch.count)
            return batch.segments
        self._uncut = length - ITEMS_PREFIX_BYTES
        self.fragments = self._cut(batch, flags, stream_id, self._uncut)
        self.budget.count(self._uncut)
        return _next_fragment(self, self.fragments)

    def _cut(self, batch: Batch, flags: int, stream_id: int, length: int) -> Iterator[list[Segment]]:
        """Iterate over the fragments of a message over the frame limit; all but the last carry `MORE`."""
        room = self.rules.max_frame_bytes - ITEMS_PREFIX_BYTES
        pieces = _pieces(batch.payload(), room)
        left = length
        for piece in pieces:
            size = sum(map(len, piece))
            left -= size
            head = ITEMS_HEADER.pack(
                size + ITEMS_PREFIX_BYTES, ITEMS, flags | (MORE if left else 0), stream_id, batch.first, batch.count
            )
            yield [head, *piece]

    def _too_large(self, size: int) -> ResourceExhausted:
        return ResourceExhausted(
            f"item {self.pushed} of this stream is {size} bytes encoded, where the peer takes {self.rules.max_item_bytes}; "
            "send it in pieces, or raise Settings.max_item_bytes there"
        )


def _next_fragment(half: SendHalf, fragments: Iterator[list[Segment]]) -> list[Segment]:
    """Return the next fragment of the batch that has begun to leave, header first."""
    frame = next(fragments)
    size = min(sum(map(len, frame)) - ITEMS_HEADER_BYTES, half._uncut)
    half._uncut -= size
    half.budget.count(-size)
    if not frame[0][5] & MORE:
        half.fragments = None
    return frame


def _sealed(half: SendHalf) -> Batch:
    """Close the open batch, which has items, and return it."""
    batch, count = half.batch, half.count
    if half.layout.end:
        batch += half.layout.end
        half.pushed_bytes += len(half.layout.end)
    else:
        ARRAY_HEAD.pack_into(batch, ITEMS_HEADER_BYTES, ARRAY, count)
    half.batch = bytearray()
    half.count = 0
    return Batch(half.pushed - count, count, [batch], len(batch) - ITEMS_HEADER_BYTES)


def _compress(batch: Batch, compress: Compress) -> int:
    """Compress the payload of a batch where that makes it smaller; return the size that it now has."""
    compressed = compress(batch.payload())
    if compressed is None:
        return batch.size
    batch.segments, batch.flags = [bytearray(ITEMS_HEADER_BYTES) + compressed[0], *compressed[1:]], COMPRESSED
    return sum(map(len, compressed))


def _pieces(segments: list[Segment], room: int) -> Iterator[list[Segment]]:
    """Iterate over runs of `room` bytes of `segments`, as views: nothing is copied."""
    piece: list[Segment] = []
    free = room
    for segment in segments:
        view = memoryview(segment)
        while len(view) > free:
            yield [*piece, view[:free]]
            view, piece, free = view[free:], [], room
        piece.append(view)
        free -= len(view)
    if piece:
        yield piece
