"""The state of one connection, shared by its two directions. Pure: it holds no socket and never reads a clock.

`Connection` (commands and output) and `Inbound` (frames that arrive) work on one `ConnectionState`; `Inbound` knows nothing of
`Connection`.
Nearly all of it belongs to the session, and goes on when the session is resumed over another link: the streams, the output,
the unfinished messages, and every count of bytes that this side holds for the peer. Only `greeted`, the keep-alive and the
frames of the link in the outbox begin anew with each link (`_links`).
"""

from __future__ import annotations

from typing import Final

from penstock.errors import Cause, ProtocolError, Unavailable
from penstock.protocol import _events as ev
from penstock.protocol._budget import Budget, Unsent
from penstock.protocol._compression import compressor
from penstock.protocol._credit import Limit, Promises
from penstock.protocol._decoder import FrameDecoder
from penstock.protocol._frames import MAX_NUMBER, Cancel, FrameType, GoAway, Hello, readable
from penstock.protocol._keepalive import KeepAlive
from penstock.protocol._outbox import Outbox
from penstock.protocol._receive import Reassembly
from penstock.protocol._send import BATCH_BYTES, LAYOUTS, SendHalf, SendRules
from penstock.protocol._sequence import Sequence
from penstock.protocol._settings import Settings
from penstock.protocol._stream import LONG_MESSAGE, WireStream
from penstock.protocol._table import StreamTable

#: Streams of a lost connection that are forgotten at once, in less than a millisecond.
FORGOTTEN_AT_ONCE: Final = 128


class ConnectionState:
    """Settings, streams, peer, output, keep-alive and counters of one connection.

    `failed`: nothing is read or written any more. `draining`: this side refuses new streams. `peer_draining`: the peer does.
    `waits`: this server has not said `HELLO`, because it decides about its client first. `budget`: charged by every ledger.
    `promises`: the sum of the windows. `greeted`: the link is ready, and any frame may come. `sequence`: what is sent until it
    has arrived; None when the session cannot be resumed.
    """

    __slots__ = (
        "_send_rules",
        "batches",
        "budget",
        "decoder",
        "draining",
        "failed",
        "greeted",
        "keepalive",
        "openings",
        "outbox",
        "peer",
        "peer_draining",
        "promises",
        "role",
        "sequence",
        "settings",
        "streams",
        "unsent",
        "waits",
    )

    def __init__(self, role: str, settings: Settings, now_s: float) -> None:
        self.settings = settings
        self.role = role
        self.budget = budget = Budget(settings.max_connection_bytes, settings.max_process_bytes)
        self.decoder = FrameDecoder(budget)
        self.streams = StreamTable(role, settings.max_waiting_calls)
        self.promises = Promises(settings.window_bytes, settings.max_connection_bytes)
        self.unsent = Unsent(settings.max_unsent_bytes, budget)
        self.peer: Hello | None = None
        self.greeted = False
        self.waits = False
        self.sequence: Sequence | None = None
        self.failed = False
        self.draining = False
        self.peer_draining = False
        self.keepalive = KeepAlive(now_s, handshake_timeout_s=settings.handshake_timeout_s, keepalive_s=settings.keepalive_s)
        self.outbox = Outbox(budget)
        self.openings = Reassembly(settings.max_item_bytes + settings.max_header_bytes, settings.max_streams, budget)
        # at most one unfinished batch for each stream, and the number of streams has a limit of its own
        self.batches = Reassembly(settings.max_item_bytes + BATCH_BYTES, MAX_NUMBER, budget)
        self._send_rules: dict[int, SendRules] = {}

    # ── the peer ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def known_peer(self) -> Hello:
        """Return the peer's `HELLO`; `ProtocolError` (rule 2.1, ours) before it has arrived."""
        if self.peer is None:
            raise ProtocolError("2.1", "nothing can be done before HELLO", remote=False)
        return self.peer

    def usable_peer(self) -> Hello:
        """Return the peer's `HELLO` when a call can begin, else raise `Unavailable`."""
        if self.peer is None or self.failed:
            raise Unavailable("the connection is not up", started=False)
        if self.peer_draining:
            raise Unavailable("the peer is draining and takes no new calls", cause=Cause.DRAINING, started=False)
        return self.peer

    def control_bytes_max(self) -> int:
        """Return the largest body of a control frame that the peer takes."""
        peer = self.known_peer()
        return min(peer.max_header_bytes, peer.max_frame_bytes)

    def send_half(self, limit: Limit, codec: int) -> SendHalf:
        """Make the sending half of a stream, within the limits of both sides."""
        rules = self._send_rules.get(codec)
        if rules is None:
            settings, peer = self.settings, self.known_peer()
            rules = self._send_rules[codec] = SendRules(
                LAYOUTS[codec],
                min(settings.max_frame_bytes, peer.max_frame_bytes),
                peer.max_item_bytes,
                self.unsent,
                compressor(settings.compression, settings.compression_threshold_bytes, peer.compressions),
            )
        return SendHalf(limit, rules)

    # ── streams ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def hold(self, stream: WireStream, size: int, *, answer: bool = False) -> None:
        """Charge `size` bytes for a call, until both the call and its handler are over.

        Raises `ResourceExhausted` for an answer that does not fit.
        """
        if answer:
            self.budget.check(size, f"{stream.opened.target} was dropped: an answer")
        stream.held_bytes += size
        self.budget.held_bytes += size
        self.budget.process.held_bytes += size

    def begin(self, stream: WireStream) -> None:
        """Give a stream its id, as its `OPEN` begins to leave; see `StreamTable.begin`."""
        self.streams.begin(stream)
        self.release(stream)

    def release(self, stream: WireStream) -> None:
        """Give back the bytes that `hold` has charged for a call."""
        held = stream.held_bytes
        if held:
            stream.held_bytes = 0
            self.budget.held_bytes -= held
            self.budget.process.held_bytes -= held

    def cancel(self, stream: WireStream, cancel: Cancel) -> None:
        """Give up a call of ours: its queued frames are dropped, frames that still arrive for it are ignored."""
        if stream.begun and stream.sending != "closed":
            self.outbox.put_control(FrameType.CANCEL, cancel, stream.id)
        self.abandon(stream)

    def abandon(self, stream: WireStream) -> None:
        """Close both directions of a stream at once and forget it: its queued frames are dropped."""
        stream.sending = "closed"
        stream.stop_sending()
        self.remove(stream)

    def abandon_some(self) -> bool:
        """Forget some of the streams of a lost connection, which may have thousands; return whether there are more."""
        streams = self.streams.all()
        for stream in streams[:FORGOTTEN_AT_ONCE]:
            self.abandon(stream)
        return len(streams) > FORGOTTEN_AT_ONCE

    def remove(self, stream: WireStream) -> None:
        """Forget a stream that is over. Calling it again does nothing."""
        if stream.over:
            return
        next_one = self.streams.remove(stream)
        if next_one is not None:
            self.outbox.ready(next_one)
        if not stream.handled:
            self.release(stream)
        if stream.receive is not None and stream.receive.grant.promises is not None:
            self.promises.end(stream.receive.grant)
        if self.openings.parts:
            self.openings.drop(stream.id)
        if self.batches.parts:
            self.batches.drop(stream.id)
        self.outbox.forget(stream)

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def fail(self, error: ProtocolError, events: list[ev.Event]) -> None:
        """End the connection because a rule was broken: the last frame names the rule."""
        self.failed = True
        message = readable(f"PROTOCOL.md rule {error.rule}: {error.message}", LONG_MESSAGE)
        self.outbox.put_goodbye(GoAway(self.streams.highest_peer_id, 13, message))
        events.append(ev.Failed(error, str(error)))

    def refuse(self, code: int, message: str) -> None:
        """End the connection of a client that this server does not take, or takes no longer (rule 2.9)."""
        self.failed = True
        self.outbox.put_goodbye(GoAway(self.streams.highest_peer_id, code, readable(message, LONG_MESSAGE)))

    def fail_unread(self, events: list[ev.Event]) -> None:
        """End the connection of a peer that provokes answers and does not read them (rule 10.5)."""
        if not self.failed:
            self.fail(ProtocolError("10.5", "the peer makes this side answer and does not read the answers"), events)
