"""The two sequences of a session that can be resumed (PROTOCOL.md §9): bytes that were sent, and how far the peer's arrived.

A sequence is all frames of one direction, side by side, but for those that belong to one link. The sender keeps it until the
other side acknowledges it, and sends it again from there over the next link. So whatever a session carries (streams, messages,
credit, endings) goes on where it was: no other ledger knows of a cut.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from penstock.errors import ProtocolError
from penstock.protocol._budget import Budget
from penstock.protocol._decoder import FrameDecoder
from penstock.protocol._frames import Hello, Segment

#: After so many bytes of the peer an `ACK` leaves with the next write, and after eight times as many it causes one: a frame and
#: a write are then a hundredth of the cost of what they acknowledge, also for a bulk stream of one direction. An idle
#: connection is told with its keep-alive, and then nothing is kept for it.
ACK_BYTES: Final = 256 * 1024
ACK_ALONE_BYTES: Final = 8 * ACK_BYTES
#: The most bytes that are kept for a peer that acknowledges none; no frame of the session is sent beyond them. Twice the
#: largest window that tunes itself, so what is on its way on a long path is never held back.
KEPT_BYTES_MAX: Final = 16 * 1024 * 1024
#: … and while the budget is tight: enough that the peer acknowledges some of it.
KEPT_BYTES_MIN: Final = ACK_ALONE_BYTES + ACK_BYTES
#: Bytes that are kept and not charged: as a rule they are acknowledged soon, and to charge each write would cost a call.
UNCHARGED_BYTES_MAX: Final = 32 * 1024
#: Writes below this size are copied into one block: an object for each small frame would weigh more than the frame.
SMALL_WRITE_BYTES: Final = 4096
#: The segments of a write below this size are joined before they are kept, and written as they are kept. A link would join
#: them anyway, so this costs nothing; to keep three segments for each item of 64 KiB cost a tenth of such an item.
JOINED_BYTES: Final = 512 * 1024


class Sequence:
    """What one session has sent and received over all its links.

    `sent`, `acknowledged`: positions in this side's sequence, in bytes. `up`: the link carries the session; before that, and
    between two links, only frames of the link are sent. `flows`: new frames of the session may be sent now. `token`: by which
    the client takes the session up again; `offered` is the `HELLO` of the new link, whose token replaces it then.
    `unconfirmed`: the client may not know yet that the session goes on. `ack_due`, `ack_alone_due`: how many bytes the
    decoder has when an `ACK` leaves with the next write, and when it leaves alone.
    """

    __slots__ = (
        "_begin",
        "_block",
        "_budget",
        "_charged_bytes",
        "_decoder",
        "_hello_bytes",
        "_kept",
        "_outside",
        "_position",
        "_told",
        "ack_alone_due",
        "ack_due",
        "acknowledged",
        "elsewhere",
        "flows",
        "offered",
        "sent",
        "token",
        "unconfirmed",
        "up",
    )

    def __init__(self, decoder: FrameDecoder, token: bytes, budget: Budget) -> None:
        self.token = token
        self._budget = budget
        self._charged_bytes = 0
        self.offered: Hello | None = None
        self.unconfirmed = False
        self.elsewhere = False  # whether the present link leads to another server than the first one
        self._decoder = decoder
        self._kept: deque[Segment] = deque()
        self._begin = 0  # the position of the first byte that is kept
        self._block: bytearray | None = None  # the last segment that is kept, while small ones may be added
        self._told = 0
        self._position = 0  # how far the peer's sequence had arrived when the last link was lost
        self.sent = 0
        self.acknowledged = 0
        self.up = self.flows = True
        self._outside = self._hello_bytes = decoder.taken_bytes  # with the `HELLO` of the first link
        self.ack_due, self.ack_alone_due = ACK_BYTES, ACK_ALONE_BYTES

    # ── sent ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def keep(self, segments: list[Segment]) -> list[Segment]:
        """Keep segments that are sent now until they are acknowledged; return them as they are to be written, unchanged."""
        size = len(segments[0]) if len(segments) == 1 else sum(map(len, segments))
        if len(segments) > 1 and size < JOINED_BYTES:
            segments = [b"".join(segments)]
        self.sent += size
        if size >= SMALL_WRITE_BYTES:
            self._kept += segments
            self._block = None
        else:
            block = self._block
            if block is None or len(block) >= SMALL_WRITE_BYTES:
                self._block = block = bytearray()
                self._kept.append(block)
            block += segments[0]
        if self.sent - self._begin - self._charged_bytes > UNCHARGED_BYTES_MAX:
            self._weigh()
        return segments

    def _weigh(self) -> None:
        """Charge the bytes that are kept now, and see whether new frames may be sent."""
        kept = self.sent - self._begin
        charged = kept if kept > UNCHARGED_BYTES_MAX else 0
        self._budget.take(charged - self._charged_bytes)
        self._charged_bytes = charged
        self.flows = self.up and self.unacknowledged < (KEPT_BYTES_MIN if self._budget.is_tight else KEPT_BYTES_MAX)

    @property
    def unacknowledged(self) -> int:
        """Bytes that were sent and may not have arrived."""
        return self.sent - self.acknowledged

    def acknowledge(self, position: int) -> None:
        """Drop what has arrived at the peer. A position that was passed before is old news.

        Raises `ProtocolError` (rule 9.4) for one that was not sent yet.
        """
        if position > self.sent:
            raise ProtocolError("9.4", f"{position} bytes acknowledged, where only {self.sent} were sent")
        self.acknowledged = max(self.acknowledged, position)
        kept = self._kept
        while kept and self._begin + len(kept[0]) <= position:
            self._begin += len(kept.popleft())
        if not kept:
            self._block = None
        self._weigh()

    def can_repeat(self, position: int) -> bool:
        """Whether everything from this position of the peer on is still here."""
        return self.acknowledged <= position <= self.sent

    def repeat(self, position: int) -> list[Segment]:
        """Go on over a new link; `can_repeat` is true. Return the segments to send once more, before all new ones."""
        self._go_on_from_position()
        self.up = True
        self.acknowledge(position)
        self._block = None  # what is sent again must not change
        again = [*self._kept]
        skipped = position - self._begin
        if skipped:
            again[0] = memoryview(again[0])[skipped:]
        return again

    def forget(self) -> None:
        """Drop everything that is kept: the session is over."""
        self._budget.give(self._charged_bytes)
        self._charged_bytes = 0
        self._kept.clear()
        self._block = None
        self.up = self.flows = False

    # ── received ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def received(self) -> int:
        """The position of the peer's sequence up to which its frames were handled."""
        return self._decoder.taken_bytes - self._outside

    def leave_out(self, size: int) -> None:
        """Do not count a frame of this size, which has just arrived: it belongs to the link."""
        self._outside += size

    @property
    def owes_ack(self) -> bool:
        """Whether frames have arrived since the peer was told."""
        return self.received > self._told

    def tell(self) -> int:
        """Return the position to tell the peer now."""
        self._told = self.received
        self.ack_due = self._decoder.arrived_bytes + ACK_BYTES
        self.ack_alone_due = self._decoder.arrived_bytes + ACK_ALONE_BYTES
        return self._told

    @property
    def begun(self) -> bool:
        """Whether anything has come from the peer after its first `HELLO`."""
        return self._decoder.taken_bytes > self._hello_bytes

    # ── links ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def detach(self) -> None:
        """Lose the link: the bytes of a frame that has not arrived whole will come again."""
        if self.up:
            self._position = self.received
        self.up = self.flows = False
        self.offered = None
        self._decoder.restart()
        self._go_on_from_position()

    def _go_on_from_position(self) -> None:
        """Count none of the bytes that a link has brought before it carries the session."""
        self._outside = self._decoder.taken_bytes - self._position
