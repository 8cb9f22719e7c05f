"""The output of one connection, in its order: frames of the link, control frames, credit, frames of streams.

It never encodes an item.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from penstock.protocol._budget import FRAME_COST_BYTES, Budget
from penstock.protocol._frames import (
    CREDIT,
    Body,
    FrameType,
    GoAway,
    Segment,
    encode_frame,
)
from penstock.protocol._scheduler import Scheduler
from penstock.protocol._send import BATCH_BYTES
from penstock.protocol._stream import WireStream

#: The request and the answer of a unary call up to this size travel as control frames do, past the queues of the streams.
DIRECT_BYTES: Final = 1024
#: Control frames that may wait to be written: a peer that makes this side answer and does not read is cut off (rule 10.5).
#: Two for each of the streams that a connection may have by default.
MAX_CONTROL_FRAMES: Final = 32_768


#: Control frames after which all that wait are charged: to charge each of them would cost a call a hundredth of its time.
FRAMES_PER_CHARGE: Final = 64


class Standstill:
    """A time in which nothing is written. Each stream in line then fills its open batch, of which the ledgers know nothing.

    bytes: the charge for these batches and for the link; None while frames are written.
    """

    __slots__ = ("_budget", "_line", "bytes")

    def __init__(self, budget: Budget, line: Iterable[WireStream]) -> None:
        self._budget = budget
        self._line = line
        self.bytes: int | None = None

    def begin(self, link_bytes: int) -> None:
        """Note that nothing is written for now; `link_bytes` are in the link."""
        if self.bytes is None:
            self.bytes = 0
            self._charge(link_bytes)
            for stream in self._line:
                self.add(stream)

    def add(self, stream: WireStream) -> None:
        """Charge an open batch of a stream that may fill one. Beyond the budget its sender takes no further item anyway."""
        if stream.sending == "open" and stream.send is not None and self._budget.fits(BATCH_BYTES):
            self._charge(BATCH_BYTES)

    def end(self) -> None:
        """Note that frames are written again."""
        self._budget.give(self.bytes or 0)
        self.bytes = None

    def _charge(self, size: int) -> None:
        self.bytes = (self.bytes or 0) + size
        self._budget.take(size)


class Outbox:
    """The frames that wait to be written.

    `overflowing`: the peer does not read its answers; the connection is to be ended. `again`: what a new link sends once more,
    before everything else but the frames of the link.
    Control frames are not refused, because each is small, or was asked about before. They are charged to the budget when they
    are many: those of one turn of the loop leave at its end.
    """

    __slots__ = (
        "_answers",
        "_budget",
        "_charged_bytes",
        "_control",
        "_credits",
        "_goodbye",
        "_scheduler",
        "again",
        "of_link",
        "overflowing",
        "standstill",
    )

    def __init__(self, budget: Budget) -> None:
        self.overflowing = False
        self._budget = budget
        self._answers = 0
        self._charged_bytes = 0
        self._goodbye: bytes | None = None
        self._control: list[bytes] = []
        self.of_link: list[bytes] = []
        self.again: deque[Segment] = deque()
        self._credits: dict[WireStream, None] = {}
        self._scheduler: Scheduler[WireStream] = Scheduler()
        self.standstill = Standstill(budget, self._scheduler)

    def put(self, frame: bytes, answers: int = 1) -> None:
        """Queue a small frame, ahead of the frames of the streams. `answers` is 0 for one that this side sends unasked.

        With more than `MAX_CONTROL_FRAMES` that the peer has provoked the outbox is `overflowing`.
        """
        if self._answers >= MAX_CONTROL_FRAMES and answers:
            self.overflowing = True
            return
        self._answers += answers
        self._control.append(frame)
        if not len(self._control) % FRAMES_PER_CHARGE:
            self.charge()

    def charge(self) -> None:
        """Charge the control frames that wait now."""
        size = sum(map(len, self._control)) + len(self._control) * FRAME_COST_BYTES
        self._budget.take(size - self._charged_bytes)
        self._charged_bytes = size

    def put_control(self, frame_type: int, body: Body | tuple[object, ...], stream_id: int = 0) -> None:
        """Queue a control frame. It counts as an answer: nearly every control frame can be provoked by the peer."""
        self.put(encode_frame(frame_type, 0, stream_id, body))

    def put_of_link(self, frame_type: int, body: Body | tuple[object, ...]) -> None:
        """Queue a frame that belongs to the link, ahead of everything else. It counts as an answer, too."""
        if self._answers >= MAX_CONTROL_FRAMES:
            self.overflowing = True
        else:
            self._answers += 1
            self.of_link.append(encode_frame(frame_type, 0, 0, body))

    def put_goodbye(self, goaway: GoAway) -> None:
        """Write this as the last frame of the connection (rule 8.4), behind the control frames that wait when it is taken."""
        self._goodbye = encode_frame(FrameType.GOAWAY, 0, 0, goaway)

    def ready(self, stream: WireStream) -> None:
        """Put a stream that has frames to send in line, once."""
        if not stream.ready and not stream.over:
            stream.ready = True
            self._scheduler.add(stream, stream.priority)
            if self.standstill.bytes is not None:
                self.standstill.add(stream)

    def owe_credit(self, stream: WireStream) -> None:
        """Send `CREDIT` for this stream with the next write: one frame, however often it is called before."""
        self._credits[stream] = None

    def forget(self, stream: WireStream) -> None:
        """Forget a stream that is over."""
        self._credits.pop(stream, None)
        self._scheduler.discard(stream, stream.priority)
        stream.ready = False

    def has_data(self) -> bool:
        """Whether anything waits to be written."""
        return bool(self._scheduler.count or self._control or self._credits or self.of_link or self._goodbye or self.again)

    def put_credits(self, now_s: float, round_trip_s: float) -> None:
        """Queue `CREDIT` for each stream that is owed it."""
        for stream in self._credits:
            half = stream.receive
            if half is not None and half.final is None:
                self.put_control(CREDIT, half.grant.next_credit(now_s, round_trip_s), stream.id)
        self._credits.clear()

    def take_of_link(self, again_bytes: int = 0) -> list[Segment]:
        """Take all waiting frames of the link, and about so many bytes of what is to be sent once more."""
        taken: list[Segment] = [*self.of_link]
        self._answers = max(0, self._answers - len(taken))
        self.of_link.clear()
        while self.again and again_bytes > 0:
            taken.append(self.again.popleft())
            again_bytes -= len(taken[-1])
        return taken

    def forget_link(self) -> None:
        """Drop the frames of a link that is lost, its goodbye, and what was to be sent once more over it."""
        self.take_of_link()
        self.again.clear()
        self._goodbye = None

    def take_control(self) -> list[Segment]:
        """Take all waiting control frames, and the goodbye behind them."""
        control: list[Segment] = [*self._control]
        if control:
            self._control.clear()
            self._answers = 0
            if self._charged_bytes:
                self.charge()
        if self._goodbye is not None:
            control.append(self._goodbye)
            self._goodbye = None
        return control

    def take_frames(
        self,
        out: list[Segment],
        budget_bytes: int,
        max_frame_bytes: int,
        begin: Callable[[WireStream], None],
        finish: Callable[[WireStream], None],
    ) -> None:
        """Append frames of the streams in turn until the budget is spent.

        `begin` is called before a stream's first frame, `finish` after its last.
        """
        scheduler = self._scheduler
        while scheduler.count and budget_bytes > 0:
            stream, priority = scheduler.next()
            if not stream.id and stream.has_frames():
                begin(stream)
            frame = stream.next_frame(max_frame_bytes)
            if not frame:
                stream.ready = False
                continue
            size = len(frame[0]) if len(frame) == 1 else sum(map(len, frame))
            out += frame
            budget_bytes -= size
            scheduler.deficits[priority] -= size
            if stream.has_frames():
                scheduler.add(stream, priority)
                continue
            stream.ready = False
            if stream.sending == "closed":  # nothing can follow in either direction
                finish(stream)
