"""Texts over a WebSocket: `TextLink`, for protocols whose messages are JSON. A text is one message, and is handed on whole."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final, Protocol, cast

from penstock.transports.websocket._link import Messages

_CONTINUATION, _TEXT, _BINARY = 0x0, 0x1, 0x2

#: Texts that are handed on in a row before other connections get their turn.
TEXTS_A_TURN: Final = 64


class TextReceiver(Protocol):
    """The side of a connection that takes its texts. Each method is called on the event loop and must not raise."""

    def link_made(self, link: TextLink) -> None:
        """Take the link, which is up; once, before everything else."""

    def take_text(self, text: bytes) -> None:
        """Take one text, in UTF-8; it may hold other bytes, as the other side has sent them."""

    def link_lost(self, error: Exception | None) -> None:
        """Learn of the end, once: None after an orderly close, else the error. Nothing follows it."""

    def pause_writing(self) -> None:
        """Stop writing where possible: the link holds more than it wants to."""

    def resume_writing(self) -> None:
        """Go on writing."""


class WholeTexts:
    """Joins the frames of a text. The package `websockets` bounds a text that is not whole."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def __call__(self, frame: Any) -> bytes | str | None:
        """Return a whole text; a refusal for a binary message; None for a part, and for frames that the package answers."""
        if frame.opcode == _BINARY:
            return "this protocol speaks in texts"
        if frame.opcode not in {_TEXT, _CONTINUATION}:
            return None
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return None
        whole = b"".join(self._parts)
        self._parts.clear()
        return whole


class TextLink:
    """One live connection that carries texts both ways, in order."""

    def __init__(self, messages: Messages, receiver: TextReceiver) -> None:
        self._messages = messages
        self._receiver: TextReceiver | None = receiver
        self._arrived: deque[bytes] = deque()
        self._feed_soon: asyncio.Handle | None = None
        self.reading_paused = False
        self.remote = messages.remote

    def __repr__(self) -> str:
        return f"<TextLink {self.remote} {'lost' if self._receiver is None else 'up'}>"

    # ── the calls of the program ──────────────────────────────────────────────────────────────────────────────────────

    def send(self, text: bytes) -> None:
        """Send a text. Never blocks, never raises; after the link is lost it does nothing."""
        if self._receiver is not None:
            self._messages.send(text)

    def pause_reading(self) -> None:
        """Keep the texts that have arrived, and take no more of them until `resume_reading`."""
        if self._receiver is not None:
            self.reading_paused = True
            self._messages.hold()

    def resume_reading(self) -> None:
        """Hand on the texts that were kept, in the next turn of the loop, and take more of them again."""
        if self.reading_paused and self._receiver is not None:
            self.reading_paused = False
            self._soon()

    def close(self) -> None:
        """Say the end after all that was sent; `link_lost` follows."""
        if self._receiver is not None:
            self._messages.finish()

    def abort(self) -> None:
        """End at once, and hand on nothing more; `link_lost` follows."""
        if self._receiver is not None:
            self._arrived.clear()
            self._messages.drop()

    # ── the calls of the connection ───────────────────────────────────────────────────────────────────────────────────

    def take(self, *messages: bytes | memoryview) -> None:
        """Hand texts on, a bounded number in each turn of the loop."""
        self._arrived.extend(cast("tuple[bytes, ...]", messages))
        if self._feed_soon is None:
            self._feed()

    def pause_writing(self) -> None:
        """Pass the pause on."""
        if self._receiver is not None:
            self._receiver.pause_writing()

    def resume_writing(self) -> None:
        """Pass the end of the pause on."""
        if self._receiver is not None:
            self._receiver.resume_writing()

    def lose(self, error: Exception | None) -> None:
        """Hand on the texts that had arrived, and tell the receiver of the end."""
        if self._feed_soon is not None:
            self._feed_soon.cancel()
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        for text in self._arrived:
            receiver.take_text(text)
        self._arrived.clear()
        receiver.link_lost(error)

    # ── texts in ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _soon(self) -> None:
        if self._feed_soon is None:
            self._feed_soon = asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._feed_soon = None
        self._feed()
        if not (self.reading_paused or self._arrived):
            self._messages.go_on()

    def _feed(self) -> None:
        for _ in range(min(TEXTS_A_TURN, len(self._arrived))):
            if self.reading_paused or self._receiver is None or not self._arrived:
                return
            self._receiver.take_text(self._arrived.popleft())
        if self._arrived:
            self._messages.hold()
            self._soon()
