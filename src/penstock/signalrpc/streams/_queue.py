"""The frames of one stream on their way out: `OutQueue` batches items that wait, and sends lost ones again."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from penstock.signalrpc._messages import StreamCredit, StreamData, StreamEnd, StreamFailure, StreamOpen, encode
from penstock.signalrpc.streams._ledgers import OutLedger
from penstock.signalrpc.streams._outlet import Outlet
from penstock.signalrpc.streams._packed import pack

#: The items of one message, and their bytes, at most.
MESSAGE_ITEMS: Final = 64
MESSAGE_ITEM_BYTES: Final = 64 * 1024

#: The items of a stream that are kept until they have arrived, and their bytes, at most, whatever the receiver allows.
AHEAD_ITEMS_MAX: Final = 64 * 1024
AHEAD_BYTES_MAX: Final = 16 * 1024 * 1024

#: A stream whose receiver sends no credit is bounded by its connection alone.
_NO_LIMIT: Final = 1 << 60


class StreamOptions(NamedTuple):
    """How a stream is sent. flow: its receiver bounds it by credit. compress: batches are compressed, which needs flow."""

    flow: bool = False
    priority: str = "normal"
    compress: bool = False


class OutQueue:
    """The items of one stream that have not left, and, with flow control, those that have not arrived.

    All leave by one way, in order, one message at a time while the connection takes it: new items, those that are sent again,
    and the end. `_next` is the number of the item that leaves next; a receiver that misses items sets it back.

    on_change: called when more items may come, and when all have gone.
    """

    def __init__(
        self, outlet: Outlet, stream_id: str, to: str | None, how: StreamOptions, on_change: Callable[[], None]
    ) -> None:
        self.flow = how.flow
        self.run = secrets.token_hex(4)
        self.ledger: OutLedger[msgspec.Raw | None] = OutLedger()  # None is the end
        self._outlet = outlet
        self._names = (stream_id, to)
        self._priority = how.priority
        self._compress = how.compress
        self._on_change = on_change
        self._next = 0
        self._waiting_bytes = 0
        self._kept_bytes = 0
        self._in_line = False
        self._is_cut = False
        self._end: StreamEnd | StreamFailure | None = None
        if not how.flow:
            self.ledger.limit = _NO_LIMIT

    @property
    def may_pull(self) -> bool:
        """Whether an item may come: the receiver allows it, the connection does, and not too many are kept for the receiver."""
        waiting, kept = self.ledger.sent - self._next, self.ledger.sent - self.ledger.arrived
        batch = MESSAGE_ITEMS if self._outlet.takes else 1
        here = waiting < batch and self._waiting_bytes < MESSAGE_ITEM_BYTES
        return self.ledger.room > 0 and here and kept < AHEAD_ITEMS_MAX and self._kept_bytes < AHEAD_BYTES_MAX

    @property
    def settled(self) -> bool:
        """Whether the end has gone, and, with flow control, has arrived."""
        return self._end is not None and self.ledger.settled

    def fields(self) -> dict[str, Any]:
        """Return the fields that each frame has. The original reads `streamId` alone."""
        stream_id, to = self._names
        return {"stream_id": stream_id, "to": to, "from_": self._outlet.link.client_id or None}

    def open(self, *, resume: bool = False) -> None:
        """Offer the stream to its receiver, or ask it on a new connection how far it is."""
        self._outlet.link.send_now(encode(StreamOpen(**self.fields(), resume=resume, run=self.run)))

    def put(self, item: msgspec.Raw) -> None:
        """Put an item in line. Those that come in the same turn of the event loop share a message."""
        self.ledger.send(item)
        self._waiting_bytes += len(item)
        self._kept_bytes += len(item)
        self._soon()

    def finish(self, end: StreamEnd | StreamFailure) -> None:
        """Put the end in line."""
        self._end = end
        number = self.ledger.send(None)
        if self.flow:
            end.seq = number
        self._soon()

    def cut(self, end: StreamFailure | None) -> None:
        """Drop all that waits and all that is kept, send the end at once, where there is one, and nothing after it."""
        self._is_cut = True
        self._arrived(0, self.ledger.sent)
        if end is not None:
            self._outlet.link.send_now(encode(end))

    def take_credit(self, credit: StreamCredit) -> None:
        """Take the credit of the receiver. Raises `InvalidArgument` for an impossible one."""
        if self._is_cut:
            return
        self._arrived(credit.limit, credit.next)
        if credit.resend:
            self._next = self.ledger.arrived
            self._waiting_bytes = self._kept_bytes
            self._soon()
        self._on_change()

    # ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _arrived(self, limit: int, arrived: int) -> None:
        items = self.ledger.credit(limit, arrived)
        self._kept_bytes -= sum(len(item) for item in items if item is not None)
        if self._next < self.ledger.arrived:  # they had arrived before they were to be sent again
            self._next, self._waiting_bytes = self.ledger.arrived, self._kept_bytes

    def _soon(self) -> None:
        if not self._in_line:
            self._in_line = True
            asyncio.get_running_loop().call_soon(self._outlet.write, self._priority, self._write)

    def _write(self) -> None:
        """Send the next items, in one message where the receiver knows such a message, or the end behind them."""
        self._in_line = False
        if self._is_cut:
            return
        items = self.ledger.kept(self._next, MESSAGE_ITEMS)  # none, when the receiver has all of them by now
        if data := _message(items):
            self._send(data)
        if len(data) < len(items) and items[len(data)] is None and self._end is not None:
            self._outlet.link.send_now(encode(self._end))
            self._next += 1
        if not self.flow:
            self._arrived(0, self._next)
        if self._next < self.ledger.sent:
            self._soon()
        self._on_change()

    def _send(self, data: list[msgspec.Raw]) -> None:
        if self.flow:
            self._outlet.link.send_now(pack(self.fields(), self._next, data, compress=self._compress))
        else:
            for item in data:
                self._outlet.link.send_now(encode(StreamData(**self.fields(), payload=item)))
        self._next += len(data)
        self._waiting_bytes -= sum(map(len, data))


def _message(items: Sequence[msgspec.Raw | None]) -> list[msgspec.Raw]:
    """Return the first items that make one message: at least one, unless the end is next."""
    data: list[msgspec.Raw] = []
    size = 0
    for item in items:
        if item is None or (data and size + len(item) > MESSAGE_ITEM_BYTES):
            break
        data.append(item)
        size += len(item)
    return data
