"""All streams of a peer: `PeerStreams` gives each frame to its stream, and keeps streams for a while that came early."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterable
from functools import partial
from typing import Any, Final

from penstock._texts import peer_text
from penstock._upkeep import upkeep
from penstock.errors import (
    AlreadyExists,
    Cancelled,
    ConnectionLost,
    EndOfStream,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    StatusError,
    StreamCancelled,
    status_error,
)
from penstock.signalrpc._messages import (
    StreamBatch,
    StreamCancel,
    StreamCredit,
    StreamData,
    StreamEnd,
    StreamFailure,
    StreamFrame,
    StreamOpen,
    encode,
)
from penstock.signalrpc._rates import Rate
from penstock.signalrpc.streams._outlet import Outlet, PeerLink
from penstock.signalrpc.streams._packed import unpack
from penstock.signalrpc.streams._queue import OutQueue, StreamOptions
from penstock.signalrpc.streams._received import QUEUED_BYTES, Received, ReceivedSource
from penstock.signalrpc.streams._sent import RESUME_S, SentStream
from penstock.streams import checked_size

#: Seconds for which a stream waits for the program to ask for it, as in the original.
EARLY_S: Final = 10.0

#: Seconds after which a receiver looks whether its sender is still there, and a sender whether its receiver is.
ASK_S: Final = 10.0

#: Streams in each direction, streams that wait for the program to ask for them, and ended ones that are remembered.
PEER_STREAMS_MAX: Final = 1024
EARLY_MAX: Final = 256
ENDED_MAX: Final = 4096

#: The text with which the original ends a stream that its sender has aborted.
_ABORTED: Final = "Stream aborted"


class PeerStreams:
    """The streams of one peer. resume_s: how long they outlive a lost connection, where both peers are of Penstock."""

    def __init__(self, link: PeerLink, resume_s: float = RESUME_S) -> None:
        self.outlet = Outlet(link)
        self._resume_s = resume_s
        self._sent: dict[str, SentStream] = {}
        self._received: dict[str, Received] = {}
        self._ended: dict[str, Received] = {}
        self._asking: asyncio.TimerHandle | None = None

    def send(
        self, items: AsyncIterable[Any], stream_id: str | None, to: str | None, how: StreamOptions, rate: Rate
    ) -> SentStream:
        """Begin to send a stream."""
        name = stream_id or str(uuid.uuid4())
        if name in self._sent:
            raise AlreadyExists(f"this peer sends a stream {name!r} already")
        if len(self._sent) >= PEER_STREAMS_MAX:
            raise ResourceExhausted(f"this peer sends {PEER_STREAMS_MAX} streams already")
        stream = SentStream(name, to, rate, self._resume_s)
        queue = OutQueue(self.outlet, name, to, how, stream.changed.notify)
        self._sent[name] = stream
        stream.start(items, queue, self._over)
        if stream.flow:
            self._ask_later()
        return stream

    def _over(self, stream: SentStream) -> None:
        if self._sent.get(stream.id) is stream:
            del self._sent[stream.id]

    def receive(self, stream_id: str | None, buffer_size: int, expected: Any, rate: Rate) -> tuple[str, ReceivedSource]:
        """Return a stream of another peer, which may have begun already."""
        name = stream_id or str(uuid.uuid4())
        if len(self._received) >= PEER_STREAMS_MAX + EARLY_MAX:
            raise ResourceExhausted(f"this peer receives {PEER_STREAMS_MAX} streams already")
        ended = self._ended.pop(name, None)
        if ended is not None and not ended.claimed:
            stream = ended
        elif (known := self._received.get(name)) is not None and known.claimed:
            raise AlreadyExists(f"this peer receives the stream {name!r} already")
        else:
            stream = known or self._begin(name)
        if stream.timer is not None:
            stream.timer.cancel()
            stream.timer = None
        stream.claim(checked_size("buffer_size", buffer_size), expected, rate)
        if stream.outcome is not None:
            self._forget(stream)
        return name, ReceivedSource(stream)

    def abort(self, stream_id: str) -> None:
        """Abort a stream that is being sent; does nothing for another one."""
        if (stream := self._sent.get(stream_id)) is not None:
            stream.abort()

    def close(self, stream_id: str) -> None:
        """Leave a stream that is being received; does nothing for another one."""
        if (stream := self._received.get(stream_id)) is not None:
            stream.leave()

    # ── frames ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, frame: StreamFrame) -> None:
        """Give a frame to its stream."""
        if isinstance(frame, StreamCredit | StreamCancel):
            self._take_answer(frame)
            return
        stream = self._received.get(frame.stream_id)
        if stream is None:
            stream = self._unknown(frame)
        if stream is None or (stream.sender is not None and frame.from_ not in {None, stream.sender}):
            return
        stream.sender = stream.sender or frame.from_
        if stream.claimed and stream.timer is not None:  # its sender is there again
            stream.timer.cancel()
            stream.timer = None
        if isinstance(frame, StreamOpen):
            stream.begin_flow(frame.from_ or "", frame.run)
            if frame.resume:
                stream.credit(resend=True)
            return
        self._take_content(stream, frame)

    def _take_answer(self, frame: StreamCredit | StreamCancel) -> None:
        stream = self._sent.get(frame.stream_id)
        if stream is None or frame.run != stream.run or stream.to is None or frame.from_ not in {None, stream.to}:
            return
        if isinstance(frame, StreamCredit):
            if stream.take_credit(frame):
                self._over(stream)  # before its task ends: the next message may be a request for a stream of the same id
        else:
            stream.abort(StreamCancelled("the receiver has left"), tell=False)

    def _take_content(self, stream: Received, frame: StreamData | StreamBatch | StreamEnd | StreamFailure) -> None:
        if isinstance(frame, StreamData | StreamBatch):
            try:
                items = [frame.payload] if isinstance(frame, StreamData) else unpack(frame)
            except InvalidArgument as error:
                stream.end("failed", error)
                self.left(stream)
                return
            stream.take_items(frame.seq, items)
            if not stream.claimed and sum(one.ledger.waiting_bytes for one in self._waiting()) > QUEUED_BYTES:
                self._discard(stream)
        elif stream.take_end(frame.seq, EndOfStream() if isinstance(frame, StreamEnd) else _error_of(frame)):
            stream.over = True
            self._forget(stream)

    def _unknown(self, frame: StreamFrame) -> Received | None:
        """Return the state of a stream that the program has not asked for yet; None for one that is over."""
        ended = self._ended.get(frame.stream_id)
        if ended is None or _is_another(ended, frame):
            self._ended.pop(frame.stream_id, None)
            return self._early(frame.stream_id)
        ended.over = ended.over or isinstance(frame, StreamEnd | StreamFailure)
        if ended.flow and ended.whole:
            self.credit(ended)
        elif ended.flow and ended.claimed:
            self.left(ended)
        return None

    def _begin(self, stream_id: str) -> Received:
        self._received[stream_id] = stream = Received(stream_id, self)
        return stream

    def _early(self, stream_id: str) -> Received:
        if len(early := self._waiting()) >= EARLY_MAX:
            self._discard(early[0])
        stream = self._begin(stream_id)
        stream.timer = asyncio.get_running_loop().call_later(EARLY_S, self._discard, stream)
        return stream

    def _waiting(self) -> list[Received]:
        return [stream for stream in self._received.values() if not stream.claimed]

    def _discard(self, stream: Received) -> None:
        why = f"the stream {stream.id} came before this program asked for it, and was dropped after {EARLY_S:g} s"
        stream.drop("failed", NotFound(why))
        self.left(stream)

    # ── frames back ───────────────────────────────────────────────────────────────────────────────────────────────────

    def credit(self, stream: Received, *, resend: bool = False) -> None:
        """Tell the sender how far it may go, and how far its items have arrived."""
        self._ask_later()
        frame = StreamCredit(
            **self._back(stream), limit=stream.ledger.granted, next=stream.next, resend=resend, rate=stream.rate
        )
        self.outlet.link.send_now(encode(frame))

    def left(self, stream: Received) -> None:
        """Tell the sender that the program has left, and forget the stream."""
        if stream.flow:
            self.outlet.link.send_now(encode(StreamCancel(**self._back(stream))))
        self._forget(stream)

    def _back(self, stream: Received) -> dict[str, Any]:
        return {"stream_id": stream.id, "to": stream.sender, "from_": self.outlet.link.client_id or None, "run": stream.run}

    def _forget(self, stream: Received) -> None:
        """Remember only that it was there. One that the program has not asked for waits for that, or for its time."""
        if not (stream.claimed or stream.dropped):
            return
        if self._received.get(stream.id) is stream:
            del self._received[stream.id]
        self._ended[stream.id] = stream
        if len(self._ended) > ENDED_MAX:
            del self._ended[next(iter(self._ended))]

    # ── the connection ────────────────────────────────────────────────────────────────────────────────────────────────

    def came_up(self, *, restored: bool) -> None:
        """Go on where the streams were, on a new connection."""
        for sent in tuple(self._sent.values()):
            sent.came_up(restored=restored)
        for stream in tuple(self._received.values()):
            if stream.timer is not None and stream.claimed:
                stream.timer.cancel()
                stream.timer = None
            if not restored:
                self._lose(stream, ConnectionLost("this peer has another address on its new connection"))
            stream.asked_at = -1
            stream.credit(resend=True)
        self.outlet.opened()

    def went_down(self, error: ConnectionLost, *, for_good: bool) -> None:
        """End the streams, but those with flow control if there may be another connection."""
        for sent in tuple(self._sent.values()):
            if for_good:
                sent.abort(error, tell=False)
            else:
                sent.take_absence(error.message)
        for stream in tuple(self._received.values()):
            if for_good or not stream.flow:
                self._lose(stream, error)
            elif stream.timer is None and stream.claimed:
                stream.timer = stream.loop.call_later(self._resume_s, partial(self._lose, stream, error))

    def take_absence(self, client_id: str) -> None:
        """Learn from the relay that a peer is not there."""
        for sent in tuple(self._sent.values()):
            if sent.to == client_id:
                sent.take_absence("the receiver is gone")
        gone = ConnectionLost("the sender is gone")
        for stream in tuple(self._received.values()):
            if stream.sender == client_id and stream.claimed and stream.timer is None:
                stream.timer = stream.loop.call_later(self._resume_s, self._lose, stream, gone)

    def leave(self) -> None:
        """End all streams, and tell the peers at their other ends."""
        for sent in tuple(self._sent.values()):
            sent.abort(Cancelled("the peer was closed"))
        for stream in tuple(self._received.values()):
            self._lose(stream, ConnectionLost("this peer was closed"))
            self.left(stream)

    async def aclose(self) -> None:
        """Wait for the tasks of all streams, which have ended."""
        if self._asking is not None:
            self._asking.cancel()
        for sent in tuple(self._sent.values()):
            sent.abort(tell=False)
            await sent.wait_closed()

    @upkeep
    def _ask(self) -> None:
        """Tell the senders again how far they may go, and offer streams again: the relay answers for peers that are gone."""
        self._asking = None
        for sent in tuple(self._sent.values()):
            if sent.flow:
                sent.offer_again()
                self._ask_later()
        for stream in tuple(self._received.values()):
            if stream.flow and stream.claimed and stream.outcome is None:
                self.credit(stream)
                self._ask_later()

    def _ask_later(self) -> None:
        if self._asking is None:
            self._asking = asyncio.get_running_loop().call_later(ASK_S, self._ask)

    def _lose(self, stream: Received, error: ConnectionLost) -> None:
        lost = ConnectionLost(error.message)
        lost.offset = stream.ledger.arrived
        if stream.claimed:
            stream.end("lost", lost)
        else:
            stream.drop("lost", lost)
        self._forget(stream)


def _is_another(ended: Received, frame: StreamFrame) -> bool:
    """Whether a frame is of a new stream that has the id of one that is over."""
    if isinstance(frame, StreamOpen):
        return frame.run != ended.run
    return ended.over and not ended.flow and not (isinstance(frame, StreamData) and frame.seq is not None)


def _error_of(frame: StreamFailure) -> StatusError:
    if frame.code:
        return status_error(frame.code, frame.reason, frame.error, None).came_from(frame.from_ or "")
    if frame.error.startswith(_ABORTED):
        return Cancelled(peer_text(frame.error))
    return status_error(2, "", frame.error, None)
