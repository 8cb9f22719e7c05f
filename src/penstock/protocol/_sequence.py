"""The two sequences of a session that can be resumed (PROTOCOL.md §9): bytes that were sent, and how far the peer's arrived.

A sequence is all frames of one direction, side by side, but for those that belong to one link. Who sends keeps it until the
other side acknowledges it, and sends it again from there over the next link. So whatever a session carries (streams, messages,
credit, endings) goes on where it was: no other ledger knows of a cut.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from penstock.errors import ProtocolError
from penstock.protocol._decoder import FrameDecoder
from penstock.protocol._frames import Segment

#: After so many bytes of the peer an `ACK` leaves with the next write, and after eight times as many it causes one: a frame and
#: a write are then a hundredth of the cost of what they acknowledge, also for a bulk stream of one direction. An idle
#: connection is told with its keep-alive, and then nothing is kept for it.
ACK_BYTES: Final = 256 * 1024
ACK_ALONE_BYTES: Final = 8 * ACK_BYTES
#: The most bytes that are kept for a peer that acknowledges none; no frame of the session is sent beyond them. Twice the
#: largest window that tunes itself, so what is on its way on a long path is never held back.
KEPT_BYTES_MAX: Final = 16 * 1024 * 1024
#: Segments below this size are copied into one block: an object for each small frame would weigh more than the frame.
SMALL_SEGMENT_BYTES: Final = 4096


class Sequence:
    """What one session has sent and received over all its links.

    `sent`, `acknowledged`: positions in this side's sequence, in bytes. `up`: the link carries the session; before that, and
    between two links, only frames of the link are sent. `token`: by which the client takes the session up again; `offered` is
    the token of the new link, which replaces it then. `unconfirmed`: the client may not know yet that the session goes on.
    `again`: what is to be sent once more, before everything new.
    """

    __slots__ = (
        "_begin",
        "_block",
        "_decoder",
        "_kept",
        "_outside",
        "_position",
        "_told",
        "acknowledged",
        "again",
        "elsewhere",
        "offered",
        "sent",
        "token",
        "unconfirmed",
        "up",
    )

    def __init__(self, decoder: FrameDecoder, token: bytes) -> None:
        self.token = token
        self.offered: bytes | None = None
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
        self.up = True
        self.again: list[Segment] = []
        self._outside = decoder.taken_bytes  # with the `HELLO` of the first link

    # ── sent ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def holds_back(self) -> bool:
        """Whether no frame of the session may be sent now."""
        return not self.up or self.sent - self.acknowledged >= KEPT_BYTES_MAX

    def keep(self, segments: list[Segment]) -> None:
        """Keep what is sent now, until it is acknowledged. Large segments are kept as they are, and must not change."""
        block = self._block
        for segment in segments:
            size = len(segment)
            self.sent += size
            if size >= SMALL_SEGMENT_BYTES:
                self._kept.append(segment)
                block = None
                continue
            if block is None or len(block) >= SMALL_SEGMENT_BYTES:
                block = bytearray()
                self._kept.append(block)
            block += segment
        self._block = block

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

    def can_repeat(self, position: int) -> bool:
        """Whether everything from this position of the peer on is still here."""
        return self.acknowledged <= position <= self.sent

    def repeat(self, position: int) -> None:
        """Send everything from `position` on again, over a new link; `can_repeat` is true."""
        self._go_on_from_position()
        self.acknowledge(position)
        self._block = None  # what is sent again must not change
        self.again = [*self._kept]
        skipped = position - self._begin
        if skipped:
            self.again[0] = memoryview(self.again[0])[skipped:]
        self.up = True

    def take_again(self) -> list[Segment]:
        """Take what is to be sent once more, before everything new."""
        again, self.again = self.again, []
        return again

    def forget(self) -> None:
        """Drop everything that is kept: the session is over."""
        self._kept.clear()
        self._block = None
        self.again = []
        self.up = False

    # ── received ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def received(self) -> int:
        """The position of the peer's sequence up to which its frames were handled."""
        return self._decoder.taken_bytes - self._outside

    def leave_out(self, size: int) -> None:
        """Do not count a frame of this size, which has just arrived: it belongs to the link."""
        self._outside += size

    def owes_ack(self, size: int) -> bool:
        """Whether about so many bytes have arrived since the peer was told."""
        return self._decoder.arrived_bytes - self._outside - self._told >= size

    def tell(self) -> int:
        """Return the position to tell the peer now."""
        self._told = self.received
        return self._told

    # ── links ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def detach(self) -> None:
        """Lose the link: the bytes of a frame that has not arrived whole will come again."""
        if self.up:
            self._position = self.received
        self.up = False
        self.offered = None
        self.again = []
        self._decoder.restart()
        self._go_on_from_position()

    def _go_on_from_position(self) -> None:
        """Count none of the bytes that a link has brought before it carries the session."""
        self._outside = self._decoder.taken_bytes - self._position
