"""A link over messages, `MessageLink`, and the seam to that which carries the messages, `Messages`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Final

from penstock.transports._abc import Link, Receiver, Segment, fill

#: The largest message that is sent, and the largest part of one that is taken. A part is held whole before its bytes are handed
#: on, so a connection without a session can make a side hold as much.
MESSAGE_BYTES_MAX: Final = 128 * 1024


class Messages(ABC):
    """A connection that carries whole messages. It calls `MessageLink` with those that it has taken, and for its end."""

    #: The address of the other side, empty before it is known, and its certificate, as of a `Link`.
    remote: str = ""
    certificate: dict[str, object] | None = None

    @abstractmethod
    def send(self, data: Segment) -> None:
        """Send a message. Never blocks, never raises."""

    @abstractmethod
    def hold(self) -> None:
        """Take no more messages until `go_on`. Those that have been taken may still be handed on."""

    @abstractmethod
    def go_on(self) -> None:
        """Take messages again. It calls `MessageLink.take` in a later turn of the loop, if at all."""

    @abstractmethod
    def finish(self) -> None:
        """Say the end after all that was sent, and end in `CLOSE_TIMEOUT_S`; `MessageLink.lose` follows, in a later turn."""

    @abstractmethod
    def drop(self) -> None:
        """End at once; `MessageLink.lose` follows, in a later turn."""


class MessageLink(Link):
    """A link whose bytes travel in messages. Bytes that the receiver has not taken wait here, a few messages at most."""

    def __init__(self, messages: Messages, receiver: Receiver) -> None:
        self._messages = messages
        self._receiver: Receiver | None = receiver
        self._arrived: deque[memoryview] = deque()
        self._feeding = False
        self._feed_soon: asyncio.Handle | None = None
        self._closing = False
        self.reading_paused = False
        self.remote = messages.remote
        self.certificate = messages.certificate

    def __repr__(self) -> str:
        state = "lost" if self._receiver is None else "closing" if self._closing else "up"
        return f"<WebSocketLink {self.remote} {state}>"

    # ── the session's calls ───────────────────────────────────────────────────────────────────────────────────────────

    def write(self, segments: Sequence[Segment]) -> None:
        """Send the segments in as few messages as `MESSAGE_BYTES_MAX` allows."""
        if self._closing or self._receiver is None:
            return
        data = segments[0] if len(segments) == 1 else b"".join(segments)
        if 0 < len(data) <= MESSAGE_BYTES_MAX:
            self._messages.send(data)
            return
        view = memoryview(data)
        for start in range(0, len(data), MESSAGE_BYTES_MAX):
            self._messages.send(view[start : start + MESSAGE_BYTES_MAX])

    def pause_reading(self) -> None:
        """Keep the bytes that have arrived, and take no more messages."""
        if self._receiver is not None:
            self.reading_paused = True
            self._messages.hold()

    def resume_reading(self) -> None:
        """Hand on the bytes that were kept, in the next turn of the loop, and take messages again."""
        if self.reading_paused and self._receiver is not None:
            self.reading_paused = False
            if self._feed_soon is None:
                self._feed_soon = asyncio.get_running_loop().call_soon(self._go_on)

    def hand_over(self, receiver: Receiver) -> None:
        """Fill the buffers of another receiver."""
        if self._receiver is not None:
            self._receiver = receiver

    def close(self) -> None:
        """Say the end after all that was written."""
        if not self._closing and self._receiver is not None:
            self._closing = True
            self._messages.finish()

    def abort(self) -> None:
        """End at once, and hand on nothing more."""
        if self._receiver is not None:
            self._closing = True
            self._arrived.clear()
            self._messages.drop()

    # ── the calls of `Messages` ───────────────────────────────────────────────────────────────────────────────────────

    def take(self, *messages: bytes | memoryview) -> None:
        """Hand the bytes of messages to the receiver, as many as fit into a buffer of its at once."""
        self._arrived.extend(memoryview(message) for message in messages if message)
        self._feed()

    def pause_writing(self) -> None:
        """Pass the pause on to the session."""
        if self._receiver is not None:
            self._receiver.pause_writing()

    def resume_writing(self) -> None:
        """Pass the end of the pause on to the session."""
        if self._receiver is not None:
            self._receiver.resume_writing()

    def lose(self, error: Exception | None) -> None:
        """Hand on the bytes that had arrived, and tell the receiver of the end. Once; nothing follows it."""
        if self._feed_soon is not None:
            self._feed_soon.cancel()
        self.reading_paused = False
        self._feed()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.link_lost(error)

    # ── bytes in ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _feed(self) -> None:
        if self._feeding:  # the receiver has called from inside
            return
        self._feeding = True
        try:
            while self._arrived and not self.reading_paused and (receiver := self._receiver) is not None:
                self._fill_one_buffer(receiver)
        finally:
            self._feeding = False

    def _fill_one_buffer(self, receiver: Receiver) -> None:
        receiver.buffer_updated(fill(receiver.get_buffer(-1), self._arrived))

    def _go_on(self) -> None:
        """Hand on the bytes that were kept; when all of them are taken, take messages again."""
        self._feed_soon = None
        try:
            self._feed()
        except BaseException:  # a receiver must not raise; when it does, the connection breaks, as on a socket
            self.abort()
            raise
        if not self.reading_paused and self._receiver is not None:
            self._messages.go_on()
