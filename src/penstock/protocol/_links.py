"""What begins anew with each link of a session: `HELLO`, keep-alive, and taking the session up again (PROTOCOL.md §2, §7, §9).

The frames here belong to the link and not to the sequence of the session (`_sequence`): they pass while nothing else may.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from penstock.errors import InvalidArgument, ProtocolError
from penstock.protocol import _events as ev
from penstock.protocol._connection_state import ConnectionState
from penstock.protocol._decoder import HANDSHAKE_BYTES
from penstock.protocol._frames import (
    HEADER_BYTES,
    LEFT,
    LINK_TYPES,
    MAX_NUMBER,
    Ack,
    FrameType,
    GoAway,
    Hello,
    Ping,
    Resumed,
    readable,
)
from penstock.protocol._sequence import Sequence
from penstock.protocol._settings import check_hello
from penstock.protocol._stream import LONG_MESSAGE

#: The longest credentials, in bytes: a header of HTTP is no longer.
CREDENTIALS_BYTES_MAX: Final = 16 * 1024
#: The longest body of `HELLO` that a server which decides about its clients takes: of one with such credentials (rule 1.2).
_HELLO_BYTES_MAX: Final = HANDSHAKE_BYTES - HEADER_BYTES + CREDENTIALS_BYTES_MAX


class Links:
    """The links of one session, one after the other. `hello` is what this side says first on each of them.

    `void`: the session can go on over no link, because the server has told a position that cannot be.
    """

    __slots__ = ("_hello", "_state", "introduction", "void")

    def __init__(self, state: ConnectionState, hello: Hello) -> None:
        self._state = state
        self._hello = hello
        self.void = False
        self.introduction = Introduction(self)
        state.outbox.put_of_link(FrameType.HELLO, hello)

    # ── commands ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def resumable(self) -> bool:
        """Whether the session can go on over another link."""
        return self._state.sequence is not None and not self._state.failed

    @property
    def begun(self) -> bool:
        """Whether anything has come from the peer after its first `HELLO`."""
        return self._sequence().begun

    def _sequence(self) -> Sequence:
        sequence = self._state.sequence
        if sequence is None:
            raise ProtocolError("9.1", "this session cannot be resumed", remote=False)
        return sequence

    @property
    def progress(self) -> int:
        """The sum of the positions that have been reached in both directions."""
        sequence = self._state.sequence
        return 0 if sequence is None else sequence.received + sequence.acknowledged

    def detach(self) -> None:
        """Lose the link of a session that is `resumable`. Everything waits, until `rejoin` or `resume`."""
        self._sequence().detach()
        self._state.greeted = self._state.failed = False
        self._state.outbox.forget_link()
        self._state.unsent.pause(paused=True)
        self._state.outbox.standstill.begin(link_bytes=0)

    def rejoin(self, now_s: float) -> None:
        """Ask the server for this session over a new link: `WentOn` or `NotResumed` follows (client only)."""
        sequence = self._sequence()
        hello = msgspec.structs.replace(self._hello, token=sequence.token, received=sequence.tell())
        self._state.keepalive.begin(now_s)
        self._state.outbox.put_of_link(FrameType.HELLO, hello)

    def can_resume(self, hello: Hello) -> bool:
        """Whether everything is still here that the client wants."""
        return self.resumable and self._sequence().can_repeat(hello.received)

    def resume(self, hello: Hello, other: Links, now_s: float) -> None:
        """Go on with this session, which is detached, over the link on which `other` got `hello` (server only).

        Bytes that it has not read are read here.
        """
        sequence = self._sequence()
        sequence.unconfirmed = True
        rest = other._state.decoder.take_rest()
        decoder = self._state.decoder
        decoder.get_buffer()[: len(rest)] = rest
        decoder.buffer_updated(len(rest))
        self._state.outbox.put_of_link(FrameType.RESUMED, Resumed(0, sequence.tell()))
        self._state.outbox.again += sequence.repeat(hello.received)
        self._state.keepalive.begin(now_s)
        self.begin(now_s)

    def begin_new(self, code: int, message: str, now_s: float) -> None:
        """Begin a session over a link on which the client has asked for an earlier one. It is ready.

        code: why the earlier one cannot be taken up (rule 9.6); 0 when nothing of it has arrived, so that this one is it
            (rule 9.8).
        """
        if not code and self._state.sequence is not None:
            self._state.sequence.unconfirmed = True
        self._state.outbox.put_of_link(FrameType.RESUMED, Resumed(code, message=readable(message, LONG_MESSAGE)))
        self.begin(now_s)

    def begin_over(self, hello: Hello, now_s: float) -> ev.Event:
        """Begin this session, which has no link yet, over one on which the server has not taken another one up (rule 9.6).

        hello: what it has said there. This side has said `HELLO` for the other session, with the same limits.
        """
        self._state.outbox.forget_link()
        events: list[ev.Event] = []
        _on_hello(self, hello, events, now_s)
        return events[0]

    def give_up(self) -> tuple[Hello | None, bytes]:
        """Return what the server has said over a link on which it has not taken the session up, and the bytes behind that."""
        return self._sequence().offered, self._state.decoder.take_rest()

    def leave(self) -> None:
        """Say that this side closes a session which could be resumed: the peer keeps nothing of it (rule 9.7)."""
        self._state.outbox.put_of_link(FrameType.GOAWAY, GoAway(self._state.streams.highest_peer_id, LEFT, "closed"))

    def acknowledge(self) -> None:
        """Acknowledge what has arrived."""
        sequence = self._state.sequence
        if sequence is not None and sequence.up and sequence.owes_ack:
            self._state.outbox.put_of_link(FrameType.ACK, (sequence.tell(),))

    def begin(self, now_s: float) -> None:
        """Take all frames over this link from now on, and measure its first round trip."""
        state = self._state
        state.greeted = True
        state.outbox.standstill.end()
        state.unsent.pause(paused=False)
        state.keepalive.handshake_done(now_s)
        send_ping(state, now_s)


class Introduction:
    """How a client is known to its server, and for how long (rules 2.8 to 2.10).

    valid_ms: for how long the server takes the credentials that were shown over the present link; 0 for no end.
    """

    __slots__ = ("_links", "valid_ms")

    def __init__(self, links: Links) -> None:
        self._links = links
        self.valid_ms = 0

    def present(self, credentials: str) -> None:
        """Say by what the server may know this side, on the next link and on those after it (client only).

        Raises `InvalidArgument` for credentials that are too long, or no text that can be written.
        """
        try:
            size = len(credentials.encode())
        except UnicodeEncodeError:
            raise InvalidArgument("the token of this client has half of a character in it", started=False) from None
        if size > CREDENTIALS_BYTES_MAX:
            text = f"the token of this client has {size} bytes, and {CREDENTIALS_BYTES_MAX} are allowed (PROTOCOL.md 1.2)"
            raise InvalidArgument(text, started=False)
        links, state = self._links, self._links._state
        links._hello = msgspec.structs.replace(links._hello, credentials=credentials)
        if state.peer is None:
            state.outbox.forget_link()
            state.outbox.put_of_link(FrameType.HELLO, links._hello)

    def wait(self) -> None:
        """Decide about the client before this side says `HELLO` (server only). Nothing was written yet."""
        self._links._state.waits = True
        self._links._state.decoder.limit_bytes = _HELLO_BYTES_MAX
        self._links._state.outbox.forget_link()

    def greet(self, valid_s: float | None, now_s: float) -> ev.Event:
        """Take the client that was `Introduced`, for so long; None for no end. Return the event that follows (server only)."""
        links, state = self._links, self._links._state
        links._hello = msgspec.structs.replace(links._hello, valid_ms=self.milliseconds(valid_s))
        state.waits = False
        state.outbox.put_of_link(FrameType.HELLO, links._hello)
        return _greeted(links, state.known_peer(), now_s)

    @staticmethod
    def milliseconds(valid_s: float | None) -> int:
        """Return a time for which credentials hold as it travels: 0 for no end."""
        return 0 if valid_s is None else max(1, min(MAX_NUMBER, int(valid_s * 1000)))

    def refuse(self, code: int, message: str) -> None:
        """End the connection of a client that this server does not take, or takes no longer."""
        self._links._state.refuse(code, message)


def send_ping(state: ConnectionState, now_s: float) -> None:
    """Send `PING`, to measure a round trip."""
    state.outbox.put_of_link(FrameType.PING, Ping(state.keepalive.next_ping(now_s)))


# ── frames ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_greeting(state: ConnectionState, frame_type: int) -> None:
    """Check a frame that arrives before the link is ready: before `HELLO`, or between `HELLO` and `RESUMED`."""
    if state.peer is None:
        if frame_type != FrameType.HELLO and (frame_type != FrameType.GOAWAY or state.role == "server"):
            raise ProtocolError("2.1", f"{FrameType(frame_type).name} before HELLO")
    elif state.waits:
        raise ProtocolError("2.8", f"{FrameType(frame_type).name} before the HELLO of this side")
    elif frame_type not in LINK_TYPES and frame_type != FrameType.GOAWAY:
        raise ProtocolError("9.3", f"{FrameType(frame_type).name} before RESUMED")


def leave_out(state: ConnectionState, frame_type: int, body: memoryview) -> None:
    """Do not count a frame of the link in the sequence of the session."""
    if state.sequence is not None and frame_type in LINK_TYPES:
        state.sequence.leave_out(HEADER_BYTES + len(body))


def _on_hello(links: Links, hello: Hello, events: list[ev.Event], now_s: float) -> None:
    """Take the limits of the peer; over a later link, wait for its answer."""
    state, sequence = links._state, links._state.sequence
    if state.peer is not None:
        if state.greeted or sequence is None or sequence.offered is not None or state.role == "server":
            raise ProtocolError("2.3", "a second HELLO")
        check_hello(hello)
        sequence.offered = hello
        sequence.elsewhere = hello.instance != state.peer.instance
        if not hello.keep_ms:
            _refused(links, "it keeps no session without a connection", events)
        return
    check_hello(hello)
    state.peer = hello
    state.streams.ours_max = hello.max_streams
    state.decoder.grow(state.settings.max_frame_bytes)
    if hello.keep_ms and links._hello.keep_ms:
        state.sequence = Sequence(state.decoder, hello.token, state.budget)
    events.append(ev.Introduced(hello) if state.waits else _greeted(links, hello, now_s))


def _greeted(links: Links, hello: Hello, now_s: float) -> ev.Event:
    """Begin a session with a peer that both sides have greeted, unless it asks for an earlier one."""
    if hello.token and links._state.role == "server":
        return ev.ResumeAsked(hello)
    links.introduction.valid_ms = hello.valid_ms
    links.begin(now_s)
    return ev.Ready(hello)


def _on_ping(links: Links, ping: Ping, _events: list[ev.Event], _now_s: float) -> None:
    """Answer, and acknowledge: a peer that asks may have heard nothing else for long."""
    links._state.outbox.put_of_link(FrameType.PONG, ping)
    links.acknowledge()


def _on_pong(links: Links, pong: Ping, _events: list[ev.Event], now_s: float) -> None:
    """Measure the round trip."""
    links._state.keepalive.pong_arrived(pong.number, now_s)


def _on_resumed(links: Links, resumed: Resumed, events: list[ev.Event], now_s: float) -> None:
    """Go on with the session over this link, or note that the server cannot. An answer without a question is ignored."""
    state, sequence = links._state, links._state.sequence
    if state.greeted or sequence is None or sequence.offered is None:
        return
    if resumed.code:
        _refused(links, resumed.message, events)
        return
    if not sequence.can_repeat(resumed.received):
        links.void = True
        told = f"{resumed.received}, where {sequence.acknowledged} was told before and {sequence.sent} bytes were sent"
        raise ProtocolError("9.3", f"RESUMED at the position {told}")
    sequence.token = sequence.offered.token
    links.introduction.valid_ms = sequence.offered.valid_ms
    state.outbox.again += sequence.repeat(resumed.received)
    links.begin(now_s)
    state.outbox.put_of_link(FrameType.ACK, (sequence.tell(),))
    events.append(ev.WentOn())


def _on_ack(links: Links, ack: Ack, events: list[ev.Event], _now_s: float) -> None:
    """Keep no more what has arrived at the peer."""
    sequence = links._state.sequence
    if sequence is None or not sequence.up:
        return
    sequence.acknowledge(ack.received)
    if sequence.unconfirmed:
        sequence.unconfirmed = False
        events.append(ev.Confirmed())


def _refused(links: Links, message: str, events: list[ev.Event]) -> None:
    """Read nothing more over this link, which does not carry the session."""
    sequence = links._sequence()
    links._state.failed = True
    events.append(ev.NotResumed(message, sequence.elsewhere))


#: What each frame of a link does.
ON_LINK: Final[dict[int, Any]] = {
    FrameType.HELLO: _on_hello,
    FrameType.PING: _on_ping,
    FrameType.PONG: _on_pong,
    FrameType.ACK: _on_ack,
    FrameType.RESUMED: _on_resumed,
}


def sent_bytes_of(links: Links) -> int | None:
    """Return the bytes of this side's sequence, over all links; None when the session cannot be resumed and counts none."""
    sequence = links._state.sequence
    return None if sequence is None else sequence.sent
