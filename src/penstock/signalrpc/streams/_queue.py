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

#: A stream whose receiver sends no credit is bounded by its connection alone.
_NO_LIMIT: Final = 1 << 60


class StreamOptions(NamedTuple):
    """How a stream is sent. flow: its receiver bounds it by credit. compress: batches are compressed, which needs flow."""

    flow: bool = False
    priority: str = "normal"
    compress: bool = False


class OutQueue:
    """The items of one stream that have not left, and, with flow control, those that have not arrived.

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
        self._out: list[msgspec.Raw] = []
        self._out_bytes = 0
        self._in_line = False
        self._end: StreamEnd | StreamFailure | None = None
        self._end_sent = False
        if not how.flow:
            self.ledger.limit = _NO_LIMIT

    @property
    def may_pull(self) -> bool:
        """Whether an item may come: the receiver allows it, and the connection does."""
        batch = MESSAGE_ITEMS if self._outlet.takes else 1
        return self.ledger.room > 0 and len(self._out) < batch and self._out_bytes < MESSAGE_ITEM_BYTES

    @property
    def settled(self) -> bool:
        """Whether the end has gone, and, with flow control, has arrived."""
        return self._end_sent and (self.ledger.settled or not self.flow)

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
        self._out.append(item)
        self._out_bytes += len(item)
        self._soon()

    def finish(self, end: StreamEnd | StreamFailure) -> None:
        """Put the end in line."""
        self._end = end
        self._soon()

    def cut(self, end: StreamFailure) -> None:
        """Drop all that waits, and send the end at once."""
        self._drop()
        self._outlet.link.send_now(encode(end))

    def take_credit(self, credit: StreamCredit) -> None:
        """Take the credit of the receiver. Raises `InvalidArgument` for an impossible one."""
        self.ledger.credit(credit.limit, credit.next)
        if credit.resend:
            self._drop()
            self._send(self.ledger.arrived, self.ledger.missing())
        self._on_change()

    # ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _drop(self) -> None:
        self._out.clear()
        self._out_bytes = 0

    def _soon(self) -> None:
        if not self._in_line:
            self._in_line = True
            asyncio.get_running_loop().call_soon(self._outlet.write, self._priority, self._write)

    def _write(self) -> None:
        """Send what waits, in one message where the receiver knows such a message, and the end behind it."""
        self._in_line = False
        out = self._out.copy()
        self._drop()
        if self.flow:
            self._send(self.ledger.sent - len(out), out)
        else:
            for item in out:
                self._outlet.link.send_now(encode(StreamData(**self.fields(), payload=item)))
        if self._end is not None and not self._end_sent:
            self._end_sent = True
            if self.flow:
                self._end.seq = self.ledger.send(None)
            self._outlet.link.send_now(encode(self._end))
        self._on_change()

    def _send(self, seq: int, items: Sequence[msgspec.Raw | None]) -> None:
        """Send items in batches; None is the end."""
        data = [item for item in items if item is not None]
        while data:
            count = _fitting(data)
            self._outlet.link.send_now(pack(self.fields(), seq, data[:count], compress=self._compress))
            seq += count
            del data[:count]
        if None in items and self._end is not None:
            self._outlet.link.send_now(encode(self._end))


def _fitting(items: Sequence[msgspec.Raw]) -> int:
    """Return how many of the items, at least one, make a message."""
    size = 0
    for count, item in enumerate(items[:MESSAGE_ITEMS]):
        size += len(item)
        if count and size > MESSAGE_ITEM_BYTES:
            return count
    return min(len(items), MESSAGE_ITEMS)
