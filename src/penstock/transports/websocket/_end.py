"""The messages of a WebSocket over a link of bytes: `WebSocketEnd`, one side of a connection.

The package `websockets` decides about each byte of the handshake, the messages and the close; it does no I/O. An end is the
receiver of the link below, passes bytes between it and the package, and bounds the work of a turn.
"""

from __future__ import annotations

import asyncio
import errno
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from threading import local
from typing import Any, Final, Protocol, cast

from penstock._texts import one_line
from penstock.transports._abc import CLOSE_TIMEOUT_S, Link, Receiver, Segment
from penstock.transports.websocket._link import Messages

#: The bytes that are read at once, by all connections of a thread into one buffer: they are copied out of it before the next
#: read, so an idle connection has no buffer.
WEBSOCKET_READ_BYTES: Final = 64 * 1024

#: How many messages are taken in a row before other connections get their turn: half a millisecond of work. A read of 64 KiB
#: may hold eleven thousand empty ones.
MESSAGES_A_TURN: Final = 64

#: The bytes of a read that are looked at before the messages in them are counted: at first, and after each part with few
#: messages twice as many, up to the greater number. Full of empty messages, that one takes five milliseconds.
PART_BYTES: Final = 1024
PART_BYTES_MAX: Final = 8 * 1024
FEW_MESSAGES: Final = 8

_BINARY: Final = (0x0, 0x2)  # a continuation, and the first part of a message
_TEXT: Final = 0x1

#: The close codes of RFC 6455, §7.4.1: an end in good order, a page that was left, a code that is missing; and a text message.
_NORMAL: Final = 1000
_IN_GOOD_ORDER: Final = (_NORMAL, 1001, 1005)
_UNSUPPORTED: Final = 1003

#: The state of a connection between its handshake and its close.
_OPEN: Final = "OPEN"

_of_thread = local()


class Above(Protocol):
    """The receiver of the messages of an end: a `MessageLink`, or a `TextLink`."""

    reading_paused: bool

    def take(self, *messages: bytes | memoryview) -> None:
        """Take messages, in order."""

    def pause_writing(self) -> None:
        """Learn that the link below holds more than it wants to."""

    def resume_writing(self) -> None:
        """Learn that it holds less again."""

    def lose(self, error: Exception | None) -> None:
        """Learn of the end; nothing follows it."""


def binary(frame: Any) -> bytes | str | None:
    """Return the bytes of a frame; a text says why the frame is refused, and None is for frames that the package answers."""
    if frame.opcode in _BINARY:
        return cast("bytes", frame.data)
    return "Penstock speaks in binary messages" if frame.opcode == _TEXT else None


class WebSocketEnd(Messages, Receiver):
    """One side of a WebSocket connection; `_ends` has the two sides, which differ in their handshakes."""

    #: The link of the session, once the handshake is over.
    link: Above | None = None

    def __init__(self, protocol: Any, payload_of: Callable[[Any], bytes | str | None] = binary) -> None:
        self._protocol = protocol
        self._payload_of = payload_of
        self._below: Link
        self._timer: asyncio.TimerHandle | None = None
        self._unread: deque[memoryview] = deque()
        self._part_bytes = PART_BYTES
        self._read_soon: asyncio.Handle | None = None
        self._choked = False
        self._late_pong = b""
        self._over = False

    @abstractmethod
    def shake_hands(self, event: object) -> None:
        """Take the request or the answer of the other side."""

    @abstractmethod
    def ended(self, error: Exception | None) -> None:
        """Learn that the connection is over before its handshake was."""

    # ── the calls of the link below ───────────────────────────────────────────────────────────────────────────────────

    def link_made(self, link: Link) -> None:
        """Take the connection."""
        self._below = link
        self.remote = link.remote
        self.certificate = link.certificate

    def get_buffer(self, size_hint: int) -> memoryview:
        """Return the buffer of this thread."""
        return _buffer()

    def buffer_updated(self, size: int) -> None:
        """Read the bytes. Those that wait for a later turn are copied: the buffer is for the next read of any connection."""
        self._unread.append(_buffer()[:size])
        self._read()
        if self._unread:
            self._unread = deque([memoryview(b"".join(self._unread))])

    def pause_writing(self) -> None:
        """Pass the pause on. Until its end pings are read and not answered."""
        self._choked = True
        if self.link is not None:
            self.link.pause_writing()

    def resume_writing(self) -> None:
        """Answer the last ping, and pass the end of the pause on."""
        self._choked = False
        self.flush()
        if self.link is not None:
            self.link.resume_writing()

    def link_lost(self, error: Exception | None) -> None:
        """Tell the session, or the handshake, of the end: it is an orderly one only after both sides have said so."""
        for handle in (self._timer, self._read_soon):
            if handle is not None:
                handle.cancel()
        if not isinstance(error, ConnectionAbortedError):
            self._read_the_rest()
        self._over = True
        why = error or _fault_of(self._protocol)
        if self.link is not None:
            self.link.lose(why)
        else:
            self.ended(why)

    # ── the calls of the session's link ───────────────────────────────────────────────────────────────────────────────

    def send(self, data: Segment) -> None:
        """Send a message in one frame; nothing after the close has begun."""
        if self._protocol.state.name == _OPEN:
            self._protocol.send_binary(data)
            self._below.write(self._protocol.data_to_send())

    def hold(self) -> None:
        """Leave arriving bytes to the link below."""
        self._below.pause_reading()

    def go_on(self) -> None:
        """Read the bytes that were left, in the next turn of the loop."""
        if self._read_soon is None and not self._over:
            self._read_soon = asyncio.get_running_loop().call_soon(self._read_again)

    def finish(self) -> None:
        """Send the close frame; the other side answers it, and the server's side ends the connection."""
        if self._protocol.state.name == _OPEN:
            self._protocol.send_close(_NORMAL)
            self.flush()
        self.bound(CLOSE_TIMEOUT_S)

    def drop(self) -> None:
        """Abort the connection below; does nothing before `link_made`."""
        if self.remote:
            self._below.abort()

    # ── bytes in ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self) -> None:
        """Read the bytes that wait, as long as the session takes them and the turn lasts."""
        messages = 0
        while self._unread and not self._over:
            if self.link is not None and self.link.reading_paused:
                return
            if messages >= MESSAGES_A_TURN:
                self._below.pause_reading()
                self.go_on()
                return
            part = self._unread.popleft()
            if len(part) > self._part_bytes:
                self._unread.appendleft(part[self._part_bytes :])
                part = part[: self._part_bytes]
            self._protocol.receive_data(cast("bytes", part))
            count = self._take_events()
            messages += count
            self._part_bytes = min(2 * self._part_bytes, PART_BYTES_MAX) if count < FEW_MESSAGES else PART_BYTES

    def _read_the_rest(self) -> None:
        """Read the bytes that had arrived before the end: they are the last that the session hears."""
        if self.link is not None:
            self.link.reading_paused = False
        while self._unread:
            self._protocol.receive_data(cast("bytes", self._unread.popleft()))
        self._take_events()

    def _take_events(self) -> int:
        """Take the frames that have been read, and send the answers to them. Return how many there were."""
        events = self._protocol.events_received()
        payloads = []
        for event in events:
            if self.link is None:
                self.shake_hands(event)
                continue
            payload = self._payload_of(event)
            if isinstance(payload, str):
                self._protocol.fail(_UNSUPPORTED, payload)
            elif payload is not None:
                payloads.append(payload)
        if payloads and self.link is not None:
            self.link.take(*payloads)
        self.flush()
        return len(events)

    def _read_again(self) -> None:
        self._read_soon = None
        try:
            self._read()
        except BaseException:  # a receiver must not raise; when it does, the connection breaks, as on a socket
            self.drop()
            raise
        paused = self.link is not None and self.link.reading_paused
        if not (self._unread or paused or self._over):
            self._below.resume_reading()

    # ── bytes out ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def flush(self) -> None:
        """Give the link below the bytes that `websockets` wants to send; an empty segment is the end of the connection.

        The link below holds all that is written. A peer that sends pings and does not read would fill it, so while it is full
        only the answer to the last ping is kept (RFC 6455, §5.5.3).
        """
        segments = self._protocol.data_to_send()
        if self._choked and segments and self._protocol.state.name == _OPEN:
            self._late_pong = segments[-1]
            return
        if self._late_pong:
            segments.insert(0, self._late_pong)
            self._late_pong = b""
        if segments and not self._over:
            self._below.write([segment for segment in segments if segment])
            if not segments[-1]:
                self._below.close()
            if self._protocol.close_expected():
                self.bound(CLOSE_TIMEOUT_S)

    def bound(self, seconds: float | None) -> None:
        """Drop the connection unless it has ended, or come further, within this time; None for no bound."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None and not self._over:
            self._timer = asyncio.get_running_loop().call_later(seconds, self.drop)


def _buffer() -> memoryview:
    try:
        buffer: memoryview = _of_thread.buffer
    except AttributeError:
        buffer = _of_thread.buffer = memoryview(bytearray(WEBSOCKET_READ_BYTES))
    return buffer


def _fault_of(protocol: Any) -> Exception | None:
    """Return why a connection that ended without an error of the system did not end in good order; None when it did."""
    broken, sent, received = protocol.parser_exc, protocol.close_sent, protocol.close_rcvd
    if broken is not None and not isinstance(broken, EOFError):
        return ConnectionAbortedError(errno.ECONNABORTED, f"the other side broke the WebSocket protocol: {broken}")
    if received is not None and received.code in _IN_GOOD_ORDER:
        return None
    if received is not None:
        text = f"the other side closed the WebSocket: {received.code} {one_line(received.reason)}".rstrip()
        return ConnectionResetError(errno.ECONNRESET, text)
    if sent is not None and sent.code != _NORMAL:
        return ConnectionAbortedError(errno.ECONNABORTED, f"this side closed the WebSocket: {sent.code} {sent.reason}")
    return ConnectionResetError(errno.ECONNRESET, "the WebSocket ended without a close frame")
