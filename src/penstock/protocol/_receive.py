"""The receiving half of a stream, and messages put together from fragments (PROTOCOL.md §4). It never decodes an item.

Batches wait for their consumer encoded: a batch is decoded when the consumer gets there.
"""

from __future__ import annotations

import msgspec

from penstock.errors import ProtocolError
from penstock.protocol._budget import BATCH_COST_BYTES, UNFINISHED_COST_BYTES, Budget
from penstock.protocol._credit import Grant
from penstock.protocol._send import bytes_head


class Arrived(msgspec.Struct, frozen=True, gc=False):
    """A batch that waits for its consumer: the offset of its first item, the number of its items, their encoded array.

    `size`: the number of bytes of the array. `is_single_bytes`: the batch is one large `bytes` item in msgpack, and `payload`
    is the item itself, copied once, out of the read buffer. `is_over_values`: it has more than `max_item_values` values, and
    its items are refused one by one.
    """

    first: int
    items: int
    payload: bytes | bytearray
    size: int
    is_single_bytes: bool = False
    is_over_values: bool = False

    def encoded(self) -> bytes | bytearray:
        """Return the encoded array, for an item type other than `bytes`."""
        return bytes_head(len(self.payload)) + self.payload if self.is_single_bytes else self.payload


class ReceiveHalf:
    """One direction of a stream, seen by its receiver.

    `arrived` and `arrived_bytes` count all items so far; `final` is their number once the direction has ended. `discarded`: the
    consumer has left, and items that still arrive are dropped. `held_bytes`: the charge for its batches that wait.
    `refuses_items`: a batch of too many values does not end the
    stream, because its receiver decodes no item before it has counted the values of that item.
    """

    __slots__ = ("arrived", "arrived_bytes", "discarded", "final", "grant", "held_bytes", "queue", "refuses_items")

    def __init__(self, grant: Grant, *, refuses_items: bool = False) -> None:
        self.grant = grant
        self.arrived = 0
        self.arrived_bytes = 0
        self.queue: list[Arrived] = []
        self.held_bytes = 0
        self.discarded = False
        self.final: int | None = None
        self.refuses_items = refuses_items

    def refuse_items(self) -> None:
        """Refuse single items of a batch from now on, and not the stream; see `refuses_items`."""
        self.refuses_items = True

    def check_start(self, offset: int, count: int) -> bool:
        """Check a batch that begins to arrive; return False for a duplicate (sent again after a cut)."""
        if count < 1:
            raise ProtocolError("4.2", "ITEMS with no item")
        if offset + count <= self.arrived:
            return False
        if offset != self.arrived:
            raise ProtocolError("4.3", f"ITEMS at offset {offset}, where {self.arrived} is next")
        if offset + count > self.grant.items:
            raise ProtocolError("5.1", f"items up to {offset + count}, where credit ends at {self.grant.items}")
        if self.arrived_bytes >= self.grant.bytes:
            raise ProtocolError("5.2", f"items begun at byte {self.arrived_bytes}, where credit ends at {self.grant.bytes}")
        return True

    def add(self, arrived: Arrived, budget: Budget | None = None) -> None:
        """Queue a complete batch that passed `check_start`; a consumer that has left gets none.

        budget: charged for it while it waits, and was asked whether it fits; None for one that is taken at once.
        """
        size = arrived.size
        self.arrived += arrived.items
        self.arrived_bytes += size
        if self.discarded:
            self.grant.consumed_bytes = self.arrived_bytes
            return
        self.queue.append(arrived)
        if budget is not None:
            size += BATCH_COST_BYTES
            self.held_bytes += size
            budget.held_bytes += size
            budget.process.held_bytes += size

    def consume(self, items: int, size: int, budget: Budget) -> bool:
        """Count items that the consumer took; return whether credit is due.

        size: that of the batch that it has taken whole, which is given back to the budget; 0 for a part of one.
        """
        if size:
            freed = min(size + BATCH_COST_BYTES, self.held_bytes)
            self.held_bytes -= freed
            budget.held_bytes -= freed
            budget.process.held_bytes -= freed
        return self.grant.consume(items, size) and self.final is None

    def finish(self, count: int) -> None:
        """End the direction after `count` items; `ProtocolError` unless all of them are here (rule 6.2)."""
        if count != self.arrived:
            raise ProtocolError("6.2", f"an end after {count} items, where {self.arrived} arrived")
        self.final = count

    @property
    def waiting_bytes(self) -> int:
        """The number of bytes that arrived and were not consumed."""
        return self.arrived_bytes - self.grant.consumed_bytes

    def discard(self) -> int:
        """Drop the waiting items and those that still arrive; return the bytes to give back for those that waited."""
        freed, self.held_bytes = self.held_bytes, 0
        self.grant.consumed_bytes = self.arrived_bytes
        self.queue.clear()
        self.discarded = True
        return freed


class Reassembly:
    """Fragments of unfinished messages: one message per stream at most, each bounded, all charged to `budget`.

    `parts` has the streams with an unfinished message.
    """

    __slots__ = ("_budget", "_max_messages", "_message_bytes", "parts")

    def __init__(self, message_bytes: int, max_messages: int, budget: Budget) -> None:
        self._message_bytes = message_bytes
        self._max_messages = max_messages
        self._budget = budget
        self.parts: dict[int, tuple[tuple[int, int, int], bytearray]] = {}

    def add(self, stream_id: int, key: tuple[int, int, int], part: memoryview) -> bytearray:
        """Add a fragment; return the message as far as it is here.

        `key` is the same for all fragments of a message (rule 4.5).
        """
        first_key, whole = self.parts.get(stream_id) or self._begin(stream_id, key)
        if first_key != key or not part:
            raise ProtocolError("4.5", "a fragment that is empty or does not belong to the message that was begun")
        if len(whole) + len(part) > self._message_bytes:
            raise ProtocolError("4.6", f"a message over {self._message_bytes} bytes in fragments")
        self._budget.take(len(part))
        whole += part
        return whole

    def check_whole(self, stream_id: int) -> None:
        """Raise `ProtocolError` (rule 4.5) for a normal end between the fragments of a message: an item would be missing."""
        if stream_id in self.parts:
            raise ProtocolError("4.5", f"the end of stream {stream_id} between the fragments of a message")

    def drop(self, stream_id: int) -> None:
        """Forget the fragments of a stream: its message is complete, or the stream is over."""
        begun = self.parts.pop(stream_id, None)
        if begun is not None:
            self._budget.give(len(begun[1]) + UNFINISHED_COST_BYTES)

    def clear(self) -> None:
        """Forget the fragments of all streams."""
        for stream_id in tuple(self.parts):
            self.drop(stream_id)

    def _begin(self, stream_id: int, key: tuple[int, int, int]) -> tuple[tuple[int, int, int], bytearray]:
        if len(self.parts) >= self._max_messages:
            raise ProtocolError("10.4", f"over {self._max_messages} unfinished messages")
        begun = self.parts[stream_id] = (key, bytearray())
        self._budget.take(UNFINISHED_COST_BYTES)
        return begun
